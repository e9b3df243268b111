// The instruction sets that this build carries, and the one in use. Each kernel family (pointwise, dense, rows, ...) is
// one source compiled once per ISA into a table of function pointers; an Isa gathers the tables.
#pragma once
#include <span>

#include "cpu/dense.h"
#include "cpu/pointwise.h"
#include "cpu/rows.h"
#include "cpu/update.h"

namespace tg {

struct Isa {
  const char* name;  // "baseline", "avx2", "avx512"
  const PointwiseTable* pointwise;
  const ConvertTable* convert;
  const MoveTable* move;
  const DenseTable<float>* dense_f32;
  const DenseTable<double>* dense_f64;
  const RowsTable<float>* rows_f32;
  const RowsTable<double>* rows_f64;
  const UpdateTable* update;

  template <class T>
  const DenseTable<T>& dense() const {
    if constexpr (sizeof(T) == 4) return *dense_f32;
    else return *dense_f64;
  }
  template <class T>
  const RowsTable<T>& rows() const {
    if constexpr (sizeof(T) == 4) return *rows_f32;
    else return *rows_f64;
  }
};

// The one in use: TRIGRAD_ISA if set (an ISA above the machine's is refused), else the machine's best.
const Isa& isa();
std::span<const Isa* const> available_isas();  // lowest first
void set_isa(const char* name);                // for tests; same refusal

}  // namespace tg

#include "cpu/isa.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.h"
#include "cpu/machine.h"

namespace tg {

#define TG_ISA_TABLES(NS)                          \
  namespace NS {                                   \
  extern const PointwiseTable pointwise_table;     \
  extern const ConvertTable convert_table;         \
  extern const MoveTable move_table;               \
  extern const DenseTable<float> dense_table_f32;  \
  extern const DenseTable<double> dense_table_f64; \
  extern const RowsTable<float> rows_table_f32;    \
  extern const RowsTable<double> rows_table_f64;   \
  extern const UpdateTable update_table;           \
  }                                                \
  static const Isa NS##_tables

TG_ISA_TABLES(isa_baseline){"baseline",
                            &isa_baseline::pointwise_table,
                            &isa_baseline::convert_table,
                            &isa_baseline::move_table,
                            &isa_baseline::dense_table_f32,
                            &isa_baseline::dense_table_f64,
                            &isa_baseline::rows_table_f32,
                            &isa_baseline::rows_table_f64,
                            &isa_baseline::update_table};
#if defined(__x86_64__)
TG_ISA_TABLES(isa_avx2){"avx2",
                        &isa_avx2::pointwise_table,
                        &isa_avx2::convert_table,
                        &isa_avx2::move_table,
                        &isa_avx2::dense_table_f32,
                        &isa_avx2::dense_table_f64,
                        &isa_avx2::rows_table_f32,
                        &isa_avx2::rows_table_f64,
                        &isa_avx2::update_table};
TG_ISA_TABLES(isa_avx512){"avx512",
                          &isa_avx512::pointwise_table,
                          &isa_avx512::convert_table,
                          &isa_avx512::move_table,
                          &isa_avx512::dense_table_f32,
                          &isa_avx512::dense_table_f64,
                          &isa_avx512::rows_table_f32,
                          &isa_avx512::rows_table_f64,
                          &isa_avx512::update_table};
#endif

namespace {

const Isa* const kBuilt[] = {
    &isa_baseline_tables,
#if defined(__x86_64__)
    &isa_avx2_tables,
    &isa_avx512_tables,
#endif
};

const Isa* choose(const char* asked, const char* who) {
  std::string names;
  for (const Isa* i : available_isas()) {
    if (!std::strcmp(asked, i->name)) return i;
    names += std::string(names.empty() ? "" : ", ") + i->name;
  }
  for (const Isa* i : kBuilt)
    if (!std::strcmp(asked, i->name))
      fail(ErrorKind::Runtime, who, " asks for ", asked, ", which this machine does not have; it has ", names);
  fail(ErrorKind::Value, who, " is '", asked, "', expected one of: ", names);
}

std::atomic<const Isa*> current{nullptr};

}  // namespace

std::span<const Isa* const> available_isas() { return {kBuilt, machine_level() + 1}; }

const Isa& isa() {
  const Isa* i = current.load(std::memory_order_relaxed);
  if (!i) {
    const char* asked = std::getenv("TRIGRAD_ISA");
    i = asked && *asked ? choose(asked, "TRIGRAD_ISA") : available_isas().back();
    current.store(i, std::memory_order_relaxed);
  }
  return *i;
}

void set_isa(const char* name) { current.store(choose(name, "[set_isa] the name"), std::memory_order_relaxed); }

}  // namespace tg

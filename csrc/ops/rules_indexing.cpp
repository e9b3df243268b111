// What reads and writes by index.
#include "ops/checks.h"
#include "ops/rules.h"

namespace tg::rules {
namespace {

void require_integers(Inference& c, int input, int entry, const char* what) {
  const Dtype t = c.in[static_cast<size_t>(input)].dtype;
  if (category(t) != Category::Integer)
    refuse(c, ErrorKind::Index, what, " is ", name(t), ", expected indices of an integer dtype; ",
           t == Dtype::Bool ? "turn a mask into indices with trigrad.nonzero" : "cast it with .to(int64)");
  c.cast[entry] = static_cast<int>(Dtype::Int64);
}

// The shape of what the index tensors from input `first` on select. `entry`: their parameter among the tensors.
Dims selected_shape(Inference& c, int first, int entry) {
  const Tensor& x = c.in[0];
  const int k = static_cast<int>(c.in.size()) - first, dim = normalize_axis(c.op, c.attrs.integer(0), x.rank());
  if (k == 0) refuse(c, ErrorKind::Index, "got no index tensor, expected one or more");
  if (dim + k > x.rank())
    refuse(c, ErrorKind::Index, "got ", k, " index tensors from dim ", dim, " on, expected at most ", x.rank() - dim,
           " for an input of shape ", x.shape);
  Dims common;
  for (int i = first; i < first + k; i++) {
    require_integers(c, i, entry, "an index tensor");
    const Dims& shape = c.in[static_cast<size_t>(i)].shape;
    try {
      common = i == first ? shape : broadcast(c.op, common, shape);
    } catch (const Error& e) {
      throw Error(ErrorKind::Index, e.what());
    }
  }
  Dims shape(x.shape.begin(), dim);
  for (int64_t n : common) shape.push_back(n);
  for (int i = dim + k; i < x.rank(); i++) shape.push_back(x.shape[i]);
  return shape;
}

void require_same_dtype(const Inference& c, int input, const char* what) {
  const Dtype want = c.in[0].dtype, got = c.in[static_cast<size_t>(input)].dtype;
  if (got != want)
    refuse(c, ErrorKind::Runtime, what, " is ", name(got), ", expected the dtype of the input, ", name(want),
           "; cast it with .to(", name(want), ")");
}

// index: (..., n, ...) with as many dimensions as the input and, off `dim`, no longer than input and source.
void require_fitting_index(const Inference& c, const Tensor& index, const Tensor& input, const Tensor* source) {
  if (index.numel() == 0) return;
  auto rank = [](const Tensor& t) { return t.rank() ? t.rank() : 1; };
  const int dim = normalize_axis(c.op, c.attrs.integer(0), input.rank());
  if (rank(index) != rank(input) || (source && rank(index) != rank(*source)))
    refuse(c, ErrorKind::Runtime, "index has shape ", index.shape, ", expected as many dimensions as the input, ",
           input.shape, source ? ", and src, " : "", source ? to_string(source->shape) : "");
  for (int i = 0; i < index.rank(); i++) {
    const bool in_input = i == dim || index.shape[i] <= (input.rank() ? input.shape[i] : 1);
    if (!in_input || (source && index.shape[i] > (source->rank() ? source->shape[i] : 1)))
      refuse(c, ErrorKind::Runtime, "index ", index.shape, " is longer than ", in_input ? "src " : "the input ",
             in_input ? source->shape : input.shape, " at dimension ", i, ", expected at most as long",
             in_input ? "" : " except at dim");
  }
}

}  // namespace

void index(Inference& c) { c.outs[0] = {selected_shape(c, 1, 1), c.in[0].dtype}; }

void index_put(Inference& c) {
  const Dims selected = selected_shape(c, 2, 2), &values = c.in[1].shape;
  bool fits = values.size() <= selected.size();
  for (int i = 1; fits && i <= values.size(); i++) {
    const int64_t n = values[values.size() - i];
    fits = n == 1 || n == selected[selected.size() - i];
  }
  if (!fits)
    refuse(c, ErrorKind::Runtime, "values ", values, " do not broadcast to the places they are written to, ", selected);
  if (c.in[1].rank() == 0) c.cast[1] = static_cast<int>(c.in[0].dtype);
  else require_same_dtype(c, 1, "values");
  if (c.attrs.boolean(1)) require_compute(c, c.in[0].dtype);
  c.outs[0] = {c.in[0].shape, c.in[0].dtype};
}

void gather(Inference& c) {
  normalize_axis(c.op, c.attrs.integer(0), c.in[0].rank());
  require_integers(c, 1, 1, "index");
  require_fitting_index(c, c.in[1], c.in[0], nullptr);
  c.outs[0] = {c.in[1].shape, c.in[0].dtype};
}

void scatter(Inference& c) {
  normalize_axis(c.op, c.attrs.integer(0), c.in[0].rank());
  require_integers(c, 1, 1, "index");
  require_same_dtype(c, 2, "src");
  require_fitting_index(c, c.in[1], c.in[0], &c.in[2]);
  if (c.id == op_scatter_add) require_compute(c, c.in[0].dtype);
  c.outs[0] = {c.in[0].shape, c.in[0].dtype};
}

void masked_fill(Inference& c) {
  if (c.in[1].dtype != Dtype::Bool)
    refuse(c, ErrorKind::Runtime, "mask is ", name(c.in[1].dtype),
           ", expected bool; compare first, for instance x > 0");
  require_compute(c, c.in[0].dtype);
  c.outs[0] = {broadcast(c.op, c.in[0].shape, c.in[1].shape), c.in[0].dtype};
}

void nonzero(Inference& c) {
  c.cast[0] = static_cast<int>(Dtype::Bool);
  if (c.attrs.integer(0) < 0) refuse(c, ErrorKind::Value, "n is ", c.attrs.integer(0), ", expected 0 or more");
  c.outs[0] = {{c.in[0].rank(), c.attrs.integer(0)}, Dtype::Int64};
}

void count_nonzero(Inference& c) {
  c.cast[0] = static_cast<int>(Dtype::Bool);
  c.outs[0] = {{}, Dtype::Int64};
}

void searchsorted(Inference& c) {
  const Tensor &row = c.in[0], &values = c.in[1];
  for (const Tensor* t : {&row, &values}) require_compute(c, t->dtype);
  if (row.dtype == Dtype::Bool) refuse(c, ErrorKind::Type, "got bool, expected a number type; cast it with .to(uint8)");
  if (row.rank() == 0) refuse(c, ErrorKind::Runtime, "the sorted sequence has shape (), expected a dimension or more");
  bool match = row.rank() == 1 || row.rank() == values.rank();
  for (int i = 0; match && row.rank() > 1 && i + 1 < row.rank(); i++) match = row.shape[i] == values.shape[i];
  if (!match)
    refuse(c, ErrorKind::Runtime, "the sorted sequence ", row.shape, " and the values ", values.shape,
           " must agree in all but the last dimension, or the sequence have one dimension");
  if (c.attrs.boolean(1) && row.shape.back() > INT32_MAX)
    refuse(c, ErrorKind::Runtime, "the sequence has ", row.shape.back(), " elements, too many for int32");
  const Dtype common = promote(row.dtype, values.dtype);
  c.cast[0] = c.cast[1] = static_cast<int>(common);
  c.outs[0] = {values.shape, c.attrs.boolean(1) ? Dtype::Int32 : Dtype::Int64};
}

}  // namespace tg::rules

// Many steps in one call: the rows of each batch are gathered and run through a plan, without Python in between.
#include "plan/batches.h"

#include <vector>

#include "bind/convert.h"
#include "bind/plan.h"

namespace tg::bind {
namespace {

std::vector<Tensor> tensors_of(PyObject* tuple) {
  std::vector<Tensor> found;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
    if (!is_tensor(PyTuple_GET_ITEM(tuple, i))) fail(ErrorKind::Type, "[batches] takes tuples of tensors");
    found.push_back(value_of(PyTuple_GET_ITEM(tuple, i)));
  }
  return found;
}

plan::Batches batches_of(PyObject* batch, PyObject* tables, PyObject* order, int64_t first, int64_t count) {
  if (!PyTuple_Check(batch) || !PyTuple_Check(tables)) fail(ErrorKind::Type, "[batches] takes tuples of tensors");
  plan::Batches b{tensors_of(tables), tensors_of(batch), {}};
  if (b.tables.size() != b.batch.size() || b.batch.empty())
    fail(ErrorKind::Runtime, "[batches] got ", b.tables.size(), " tables for a batch of ", b.batch.size(), " tensors");
  for (size_t k = 0; k < b.batch.size(); k++) {
    const Tensor &from = b.tables[k], &to = b.batch[k];
    if (from.place() != to.place() || to.place() != b.batch[0].place())
      fail(ErrorKind::Runtime, "[batches] tensors are on ", name(from.place()), " and ", name(to.place()),
           ", expected one device; move them with .to()");
    bool same = from.rank() == to.rank() && from.rank() > 0 && from.dtype == to.dtype && from.contiguous() &&
                to.contiguous() && from.shape[0] == b.tables[0].shape[0] && to.shape[0] == b.batch[0].shape[0];
    for (int i = 1; same && i < from.rank(); i++) same = from.shape[i] == to.shape[i];
    if (!same)
      fail(ErrorKind::Runtime, "[batches] a batch ", to.shape, " of ", name(to.dtype), " cannot hold rows of ",
           from.shape, " of ", name(from.dtype));
  }
  if (order != Py_None) {
    if (!is_tensor(order) || value_of(order).dtype != Dtype::Int64 || !value_of(order).contiguous() ||
        value_of(order).place() != b.batch[0].place())
      fail(ErrorKind::Type, "[batches] the order is no contiguous tensor of int64 where the tables are");
    const Tensor& t = value_of(order);
    b.order = t;
  }
  const int64_t rows = b.batch[0].shape[0], n = order == Py_None ? b.tables[0].shape[0] : b.order.numel();
  if (rows < 1 || first < 0 || count < 1 || count > (n - first) / rows)
    fail(ErrorKind::Index, "[batches] got ", count, " batches of ", rows, " rows from row ", first,
         " on, expected them among ", n);
  return b;
}

}  // namespace

// gather_rows(batch, tables, order, first): rows order[first], … of the tables into the batch.
PyObject* gather_rows(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 4) fail(ErrorKind::Type, "[gather_rows] takes (batch, tables, order, first)");
    const int64_t first = to_int("gather_rows", "first", args[3]);
    const plan::Batches b = batches_of(args[0], args[1], args[2], first, 1);
    b.gather(first);
    for (const Tensor& t : b.batch) t.storage->written();
    Py_RETURN_NONE;
  });
}

namespace {

// May the next run follow with nothing done in between? Not if it would find other gradients than this one.
bool repeatable(const Plan& p) {
  for (const Gradient& g : p.gradients) {
    const bool stays = g.before == Gradient::Before::present ? g.after == Gradient::After::given && !g.given
                                                             : g.after == Gradient::After::none;
    if (g.before != Gradient::Before::any && !stays) return false;
  }
  return true;
}

}  // namespace

// run_batches(arguments, numbers, tables, order, first, losses, milliseconds) -> how many steps were made: one for each of
// `losses` (float64), fewer when the time is over. None if the numbers need another program.
PyObject* run_batches(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 7 || !PyTuple_Check(args[0]) || !PyTuple_Check(args[1]) || !is_tensor(args[5]))
      fail(ErrorKind::Type,
           "[Plan.run_batches] takes (arguments, numbers, tables, order, first, losses, milliseconds)");
    Plan& p = plan_of(self);
    const int64_t first = to_int("run_batches", "first", args[4]);
    const Tensor& losses = value_of(args[5]);
    if (losses.dtype != Dtype::Float64 || losses.device() != Device::Cpu || !losses.contiguous() ||
        p.outputs.size() != 1 || p.outputs[0].numel() != 1)
      fail(ErrorKind::Runtime, "[Plan.run_batches] expected a contiguous float64 tensor, and a program of one number");
    const plan::Batches batches = batches_of(args[0], args[2], args[3], first, losses.numel());
    if (!set_numbers(p, args[1])) Py_RETURN_NONE;
    bind_arguments(p, args[0]);
    bind_gradients(p, args[0]);
    bind_outputs(p);
    std::vector<plan::Draw> draws;
    for (const Plan::Live& l : p.live)
      if (l.random)
        draws.push_back({l.instruction, l.step,
                         to_int("run_batches", "draws", PyTuple_GET_ITEM(PyTuple_GET_ITEM(args[1], l.source), 2))});
    const size_t wanted = repeatable(p) ? static_cast<size_t>(losses.numel()) : 1;
    const auto time = std::chrono::milliseconds(to_int("run_batches", "milliseconds", args[6]));
    size_t made = 0;
    try {
      const WithoutGil released(true);
      made = plan::run_batches(*p.executor, batches, first, p.outputs[0], draws, {losses.data<double>(), wanted}, time);
    } catch (const plan::Unexpected& u) {
      raise_unexpected(p, u);
    }
    losses.storage->written();
    set_gradients(p, args[0]);
    p.calls += made;
    return PyLong_FromSize_t(made);
  });
}

}  // namespace tg::bind

// Many steps in one call: batches are gathered by an order of rows and run through a plan, without Python in between.
#include <chrono>
#include <cstring>

#include "bind/convert.h"
#include "bind/plan.h"
#include "bind/recording.h"
#include "core/float_env.h"

namespace tg::bind {
namespace {

constexpr auto kBetweenSignals = std::chrono::milliseconds(50);

struct Columns {
  const std::byte* from;
  std::byte* to;
  int64_t row_bytes, rows;
};

// to[i] = from[order[i]]
void gather(const Columns& c, const int64_t* order, int64_t n) {
  constexpr int64_t ahead = 8;  // rows lie anywhere: they are asked for before they are needed
  for (int64_t i = 0; i < n; i++) {
    if (i + ahead < n) __builtin_prefetch(c.from + order[i + ahead] * c.row_bytes);
    std::memcpy(c.to + i * c.row_bytes, c.from + order[i] * c.row_bytes, static_cast<size_t>(c.row_bytes));
  }
}

struct Draw {
  size_t live;                    // of Plan::live
  int64_t step, steps_per_batch;  // of its generator: where it starts, and how many a batch takes
};

double value_of_loss(const Tensor& t) { return load(t, t.offset).real(); }

}  // namespace

// epoch(data, order, first, batches, staging, numbers, draws) -> (batches done, sum of the losses)
//   data: per argument all its rows, a contiguous tensor; staging: the arguments of one batch, written anew for each
//   order: (n,) int64, the rows in their order; batch k takes those from first + k * rows on
//   numbers: as for run(); draws: per source the number of steps that its generator makes per batch, 0 for others
// A signal is answered between two batches: its exception is raised with everything as after a whole step.
PyObject* run_epoch(PyObject* self, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 7) fail(ErrorKind::Type, "[Plan.epoch] takes (data, order, first, batches, staging, numbers, draws)");
    PyObject *data = args[0], *staging = args[4], *draws = args[6];
    Plan& p = plan_of(self);
    const Tensor order = value_of(args[1]);
    const int64_t first = to_int("epoch", "first", args[2]), batches = to_int("epoch", "batches", args[3]);
    if (p.outputs.size() != 1 || !holds(p, staging) || !set_numbers(p, args[5]))
      fail(ErrorKind::Runtime, "[Plan.epoch] this plan does not hold for these batches");
    std::vector<Columns> columns;
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(staging); k++) {
      const Tensor &from = value_of(PyTuple_GET_ITEM(data, k)), &to = value_of(PyTuple_GET_ITEM(staging, k));
      const int64_t rows = from.shape[0], row_bytes = rows ? from.numel() / rows * size_of(from.dtype) : 0;
      columns.push_back({from.data(), to.data(), row_bytes, rows});
    }
    const int64_t batch = value_of(PyTuple_GET_ITEM(staging, 0)).shape[0];
    const int64_t* at = order.data<int64_t>();
    if (order.dtype != Dtype::Int64 || !order.contiguous() || first < 0 || first + batches * batch > order.numel())
      fail(ErrorKind::Value, "[Plan.epoch] the order has ", order.numel(), " rows, expected ", first + batches * batch);
    for (int64_t i = first; i < first + batches * batch; i++)
      for (const Columns& c : columns)
        if (at[i] < 0 || at[i] >= c.rows) fail(ErrorKind::Index, "[Plan.epoch] row ", at[i], " of ", c.rows);
    std::vector<Draw> drawn;
    for (size_t k = 0; k < p.live.size(); k++)
      if (p.live[k].random)
        drawn.push_back({k, p.executor->attrs(p.live[k].instruction).integer(p.live[k].step),
                         to_int("epoch", "draws", PyTuple_GET_ITEM(draws, p.live[k].source))});
    bind_arguments(p, staging);
    bind_gradients(p, staging);
    bind_outputs(p);
    const Tensor loss = p.executor->tensor(p.outputs[0]);

    int64_t done = 0;
    double total = 0;
    bool interrupted = false;
    auto finish = [&] {
      if (done) set_gradients(p, staging);
      p.calls += static_cast<uint64_t>(done);
    };
    while (done < batches && !interrupted) {
      try {
        const WithoutGil released(true);
        const FloatEnv env;
        const auto until = std::chrono::steady_clock::now() + kBetweenSignals;
        do {
          for (const Draw& d : drawn) {
            const Plan::Live& l = p.live[d.live];
            Attrs attrs = p.executor->attrs(l.instruction);
            attrs.values[l.step] = Attr::integer(d.step + done * d.steps_per_batch);
            p.executor->set_attrs(l.instruction, attrs);
          }
          for (const Columns& c : columns) gather(c, at + first + done * batch, batch);
          p.executor->run();
          total += value_of_loss(loss);
          done++;
        } while (done < batches && std::chrono::steady_clock::now() < until);
      } catch (const plan::Unexpected& u) {
        finish();
        raise_unexpected(p, u);
      } catch (...) {
        finish();
        throw;
      }
      interrupted = PyErr_CheckSignals() < 0;
    }
    finish();
    // Interrupted: the exception waits until the caller has counted what was done.
    PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
    if (interrupted) {
      PyErr_Fetch(&type, &value, &trace);
      PyErr_NormalizeException(&type, &value, &trace);
      Py_XDECREF(type);
      Py_XDECREF(trace);
    }
    const Ref error(value ? value : Py_NewRef(Py_None));
    return Py_BuildValue("(LdO)", static_cast<long long>(done), total, error.get());
  });
}

}  // namespace tg::bind

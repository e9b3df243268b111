// trigrad._core.testing: a recorder that lists calls, a second backend that counts them, the machine code of kernels.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <cstring>
#include <map>

#include "bind/module.h"
#include "bind/size_type.h"
#include "bind/tensor_type.h"
#include "cpu/isa.h"
#include "ops/backends.h"
#include "ops/dispatch.h"
#include "ops/table.h"

namespace py = pybind11;

namespace tg::bind {
namespace {

// ---- a listener

class ListingRecorder : public Recorder {
 public:
  void record(const Call& call) override {  // may run without the GIL: plain C++ only
    Entry e{&call.op, {}, {}};
    for (const Tensor& t : call.in)
      if (t.defined()) e.in.push_back(t.shape);
    for (const Tensor& t : call.out)
      if (t.defined()) e.out.push_back(t.shape);
    entries_.push_back(std::move(e));
  }
  py::list calls() const {
    auto shapes = [](const std::vector<Dims>& all) {
      py::list list;
      for (const Dims& d : all) list.append(py::reinterpret_steal<py::object>(make_tuple(d)));
      return list;
    };
    py::list list;
    for (const Entry& e : entries_) list.append(py::make_tuple(e.op->name, shapes(e.in), shapes(e.out)));
    return list;
  }
  void enter() {
    if (dispatch::recorder()) fail(ErrorKind::Runtime, "[Recorder] another recorder listens on this thread");
    dispatch::set_recorder(this);
  }
  void leave() {
    if (dispatch::recorder() == this) dispatch::set_recorder(nullptr);
  }
  ~ListingRecorder() override { leave(); }

 private:
  struct Entry {
    const Op* op;
    std::vector<Dims> in, out;
  };
  std::vector<Entry> entries_;
};

// ---- a second backend: counts each call and lets the CPU do the work, on memory that is its own

std::atomic<int64_t> counts[kOps];

void count_and_forward(const Call& call) {
  counts[call.op.id]++;
  dispatch::backend(Device::Cpu)->kernels[call.op.id](call);
}

// `missing`: rows whose cells stay empty.
void install_counting_backend(const std::vector<std::string>& missing) {
  static Backend backend{"test", Device::Test, {}};
  for (const Op& op : ops()) {
    counts[op.id] = 0;
    backend.kernels[op.id] = dispatch::backend(Device::Cpu)->kernels[op.id] ? count_and_forward : nullptr;
  }
  for (const std::string& name : missing)
    if (const Op* op = find_op(name)) backend.kernels[op->id] = nullptr;
  dispatch::register_backend(&backend);
}

std::map<std::string, int64_t> counted_calls() {
  std::map<std::string, int64_t> calls;
  for (const Op& op : ops())
    if (counts[op.id]) calls[op.name] = counts[op.id];
  return calls;
}

py::object moved_to(py::handle tensor, Device device) {
  if (!is_tensor(tensor.ptr())) throw py::type_error("expected a Tensor");
  Tensor source = value_of(tensor.ptr());
  if (!source.contiguous()) throw py::value_error("expected a contiguous tensor");
  Tensor target = empty(source.shape, source.dtype, device);
  std::memcpy(target.data(), source.data(), static_cast<size_t>(source.numel() * size_of(source.dtype)));
  return py::reinterpret_steal<py::object>(wrap(std::move(target)));
}

// ---- machine code

// The first bytes of one function per kernel family of an instruction set: different sets must have different code.
py::dict kernel_code(const std::string& isa_name, size_t bytes) {
  const Isa* isa = nullptr;
  for (const Isa* i : available_isas())
    if (isa_name == i->name) isa = i;
  if (!isa) throw py::value_error("no such instruction set on this machine: " + isa_name);
  constexpr size_t most = 1024;  // beyond the end of a function the memory need not be readable
  if (bytes > most) throw py::value_error("expected at most " + std::to_string(most) + " bytes");
  auto code = [&](auto* function) { return py::bytes(reinterpret_cast<const char*>(function), bytes); };
  py::dict d;
  d["pointwise exp float32"] = code(isa->pointwise->ops[0][id_exp]);
  d["pointwise tanh float64"] = code(isa->pointwise->ops[1][id_tanh]);
  d["dense forward float32"] = code(isa->dense_f32->forward);
  d["dense forward float64"] = code(isa->dense_f64->forward);
  d["dense grad_weight float32"] = code(isa->dense_f32->grad_weight);
  d["matmul float32"] = code(isa->dense_f32->matmul);
  d["softmax float32"] = code(isa->rows_f32->softmax);
  d["reduce_rows float64"] = code(isa->rows_f64->reduce_rows);
  return d;
}

}  // namespace

void init_testing(PyObject* module) {
  auto m = py::reinterpret_borrow<py::module_>(module);
  py::class_<ListingRecorder>(m, "Recorder", "Lists the calls that pass the door on this thread while it is entered.")
      .def(py::init<>())
      .def("__enter__",
           [](py::object self) {
             self.cast<ListingRecorder&>().enter();
             return self;
           })
      .def("__exit__", [](ListingRecorder& r, const py::args&) { r.leave(); })
      .def_property_readonly("calls", &ListingRecorder::calls);
  m.def("install_counting_backend", install_counting_backend, py::arg("missing") = std::vector<std::string>{});
  m.def("counted_calls", counted_calls);
  m.def("to_test", [](py::handle t) { return moved_to(t, Device::Test); }, py::arg("tensor"));
  m.def("to_cpu", [](py::handle t) { return moved_to(t, Device::Cpu); }, py::arg("tensor"));
  m.def("kernel_code", kernel_code, py::arg("isa"), py::arg("bytes") = 256);
}

}  // namespace tg::bind

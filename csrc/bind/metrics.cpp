#include "bind/metrics.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "cpu/metrics.h"

namespace py = pybind11;

namespace tg::bind {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

template <class T>
std::span<const T> all(const Array<T>& a) {
  return {a.data(), static_cast<size_t>(a.size())};
}

void same_length(std::initializer_list<py::ssize_t> lengths) {
  for (const py::ssize_t n : lengths)
    if (n != *lengths.begin())
      fail(ErrorKind::Value, "[metrics] got arrays of ", *lengths.begin(), " and ", n, " numbers");
}

py::array_t<double> as_array(const std::vector<double>& v) {
  return py::array_t<double>(static_cast<py::ssize_t>(v.size()), v.data());
}

py::tuple python_roc(const Array<double>& score, const Array<uint8_t>& label, const Array<double>& weight) {
  same_length({score.size(), label.size(), weight.size()});
  Roc r;
  {
    const WithoutGil gil(true);
    r = roc(all(score), all(label), all(weight));
  }
  return py::make_tuple(as_array(r.threshold), as_array(r.accepted[0]), as_array(r.accepted[1]),
                        py::make_tuple(r.total[0], r.total[1]), py::make_tuple(r.squares[0], r.squares[1]), r.area);
}

py::tuple python_passing(const Array<double>& score, const Array<double>& weight, double threshold) {
  same_length({score.size(), weight.size()});
  const Passing p = passing(all(score), all(weight), threshold);
  return py::make_tuple(p.sum, p.squares, p.total, p.total_squares);
}

double python_top_k(const Array<double>& prediction, const Array<int64_t>& target, int64_t k,
                    const Array<double>& weight) {
  if (prediction.ndim() != 2)
    fail(ErrorKind::Value, "[metrics] prediction has ", prediction.ndim(), " axes, expected 2");
  const auto rows = prediction.shape(0), classes = prediction.shape(1);
  same_length({rows, target.size(), weight.size()});
  for (const int64_t t : all(target))
    if (t < 0 || t >= classes) fail(ErrorKind::Index, "[metrics] a target is ", t, ", expected 0 to ", classes - 1);
  return top_k(rows, classes, prediction.data(), all(target), k, all(weight));
}

template <double (*f)(Numbers, Numbers, Numbers)>
double of_pairs(const Array<double>& prediction, const Array<double>& target, const Array<double>& weight) {
  same_length({prediction.size(), target.size(), weight.size()});
  return f(all(prediction), all(target), all(weight));
}

}  // namespace

void init_metrics(PyObject* module) {
  py::module_ m = py::reinterpret_borrow<py::module_>(module).def_submodule("metrics", "The loops of trigrad.metrics.");
  m.def("roc", python_roc);
  m.def("passing", python_passing);
  m.def("top_k", python_top_k);
  m.def("mean_absolute_error", of_pairs<mean_absolute_error>);
  m.def("r2", of_pairs<r2>);
}

}  // namespace tg::bind

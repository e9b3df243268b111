#include "bind/arguments.h"

#include <cstring>
#include <sstream>

#include "bind/convert.h"
#include "bind/device.h"
#include "bind/dtype_type.h"
#include "bind/numpy.h"
#include "bind/tensor_type.h"
#include "ops/table.h"

namespace tg::bind {
namespace {

// The last stands for one that is in no row: device, or copy_'s non_blocking.
constexpr int kMaxParams = kMaxInputs + kMaxAttrs, kBeside = kMaxParams;

bool is_text(PyObject* unicode, const char* text) { return PyUnicode_CompareWithASCIIString(unicode, text) == 0; }

int index_of_keyword(const Op& op, PyObject* keyword) {
  if (is_text(keyword, "axis")) return index_of_keyword(op, owned(PyUnicode_FromString("dim")).get());
  if (is_text(keyword, "keepdims")) return index_of_keyword(op, owned(PyUnicode_FromString("keepdim")).get());
  for (size_t i = 0; i < op.params.size(); i++)
    if (is_text(keyword, op.params[i].name.c_str())) return static_cast<int>(i);
  if (op.id == id_pow && is_text(keyword, "exponent")) return 1;  // PyTorch's name for it
  if (op.tensors.empty() && is_text(keyword, "device")) return kBeside;
  if (op.id == op_copy_ && is_text(keyword, "non_blocking")) return kBeside;
  fail(ErrorKind::Type, "[", op.name, "] has no parameter '", checked(PyUnicode_AsUTF8(keyword)),
       "': ", python_signature(op));
}

// May a Python number stand for input i? In elementwise ops of several tensors it may.
bool takes_numbers(const Op& op, size_t i) {
  return (op.id < kPointwiseOps && op.n_tensors() > 1) || (op.id == op_where && i > 0) || (op.id == op_copy_ && i == 1);
}

// objects[i] is what was given for input i, null or None where nothing was.
void read_tensors(const Op& op, Arguments& result) {
  int numbers = 0, tensors = 0;
  const Tensor* beside = nullptr;
  for (size_t i = 0; i < result.objects.size(); i++) {
    PyObject*& value = result.objects[i];
    const Param& p = op.input(static_cast<int>(i));
    if (!value || (value == Py_None && p.kind == Param::Kind::OptionalTensor)) {
      value = nullptr;
      if (p.kind != Param::Kind::OptionalTensor)
        fail(ErrorKind::Type, "[", op.name, "] ", p.name, " is missing: ", python_signature(op));
    } else if (is_tensor(value)) {
      result.in[i] = value_of(value);
      if (op.id != op_where || i > 0) {
        beside = &result.in[i];
        tensors++;
      }
    } else {
      numbers++;
    }
  }
  for (size_t i = 0; i < result.objects.size() && numbers; i++) {
    PyObject* value = result.objects[i];
    if (!value || is_tensor(value)) continue;
    numbers--;
    const Number number = takes_numbers(op, i) ? read_number(value) : Number{};
    if (number.kind == Number::Kind::None || (!tensors && op.id != op_where))
      fail(ErrorKind::Type, "[", op.name, "] ", op.input(static_cast<int>(i)).name,
           op.variadic ? " holds a " : " is a ", Py_TYPE(value)->tp_name,
           ", expected a trigrad.Tensor; make one with trigrad.",
           is_numpy_array(value) ? "from_numpy(array)" : "tensor(data)");
    if (op.id == id_pow && i == 1) require_exponent(result.in[0], value);
    if (op.id == op_copy_) require_fits(op.name.c_str(), number, result.in[0].dtype);
    result.in[i] = number_tensor(number, tensors == 1 ? beside : nullptr);
  }
}

// A word that the table knows. Another one lives as long as this call, which its rule refuses.
const char* word(const Param& p, const char* text) {
  if (p.has_default && !std::strcmp(text, p.fallback.text)) return p.fallback.text;
  if (!std::strcmp(text, "none")) return "none";
  const Op* op = find_op(text);
  return op ? op->name.c_str() : text;
}

void add_attribute(const Op& op, const Param& p, PyObject* value, Arguments& result) {
  Attrs& attrs = result.attrs;
  const char *o = op.name.c_str(), *name = p.name.c_str();
  if (!value) {
    if (!p.has_default) fail(ErrorKind::Type, "[", op.name, "] ", p.name, " is missing: ", python_signature(op));
    attrs.add(p.fallback);
    return;
  }
  if (value == Py_None && p.nullable) {
    attrs.add(Attr{});
    return;
  }
  switch (p.kind) {
    case Param::Kind::Int: attrs.add(Attr::integer(to_int(o, name, value))); return;
    case Param::Kind::Float: attrs.add(Attr::real(to_real(o, name, value))); return;
    case Param::Kind::Bool: attrs.add(Attr::boolean(to_bool(o, name, value))); return;
    case Param::Kind::Type: attrs.add(Attr::type(to_dtype(o, name, value))); return;
    case Param::Kind::Axes:
    case Param::Kind::Shape: attrs.add(to_dims(o, name, value)); return;
    case Param::Kind::Number: {
      const Number n = is_tensor(value) ? element(o, value_of(value)) : read_number(value);
      if (n.kind == Number::Kind::None) to_real(o, name, value);  // raises
      if (op.id == op_fill_ || op.id == op_masked_fill) require_fits(o, n, result.in[0].dtype);
      attrs.add(n.attr());
      return;
    }
    case Param::Kind::Text:
      if (!PyUnicode_Check(value))
        fail(ErrorKind::Type, "[", op.name, "] ", p.name, " is a ", Py_TYPE(value)->tp_name, ", expected a string");
      attrs.add(Attr::word(word(p, checked(PyUnicode_AsUTF8(value)))));
      return;
    case Param::Kind::Tensor:
    case Param::Kind::OptionalTensor:
    case Param::Kind::Tensors: break;
  }
  fail(ErrorKind::Runtime, "[", op.name, "] ", p.name, " is no attribute");
}

// The members of a list of tensors, which takes the place of one argument.
Ref members(const Op& op, PyObject* value) {
  const Param& p = op.params[static_cast<size_t>(op.tensors.back())];
  if (!value) fail(ErrorKind::Type, "[", op.name, "] ", p.name, " is missing: ", python_signature(op));
  if (!PyList_Check(value) && !PyTuple_Check(value))
    fail(ErrorKind::Type, "[", op.name, "] ", p.name, " is a ", Py_TYPE(value)->tp_name,
         ", expected a list or tuple of tensors");
  return owned(PySequence_Fast(value, "list of tensors"));
}

// given[k] is the argument for parameter k.
void read(const Op& op, PyObject* const* given, Arguments& result) {
  const size_t fixed = op.tensors.size() - (op.variadic ? 1 : 0);
  const Ref list = op.variadic ? members(op, given[op.tensors.back()]) : Ref{};
  const size_t n = fixed + (op.variadic ? static_cast<size_t>(PySequence_Fast_GET_SIZE(list.get())) : 0);
  result.in.resize(n);
  result.objects.resize(n);
  for (size_t i = 0; i < n; i++)
    result.objects[i] =
        i < fixed ? given[op.tensors[i]] : PySequence_Fast_GET_ITEM(list.get(), static_cast<Py_ssize_t>(i - fixed));
  read_tensors(op, result);
  for (int k : op.attributes) add_attribute(op, op.params[static_cast<size_t>(k)], given[k], result);
  if (op.tensors.empty()) result.place = to_place(op.name.c_str(), given[kBeside]);
  if (op.id == op_copy_ && given[kBeside]) result.non_blocking = to_bool("copy_", "non_blocking", given[kBeside]);
}

}  // namespace

void read_arguments(const Op& op, PyObject* const* args, Py_ssize_t n, PyObject* names, Arguments& result) {
  PyObject* given[kMaxParams + 1] = {};
  const bool beside = op.id == op_copy_ && n == 3;
  if (beside) n--;
  if (n > static_cast<Py_ssize_t>(op.params.size()))
    fail(ErrorKind::Type, "[", op.name, "] got ", n, " arguments, expected at most ", op.params.size(), ": ",
         python_signature(op));
  for (Py_ssize_t i = 0; i < n; i++) given[i] = args[i];
  if (beside) given[kBeside] = args[n];
  for (Py_ssize_t k = 0; names && k < PyTuple_GET_SIZE(names); k++) {
    const int i = index_of_keyword(op, PyTuple_GET_ITEM(names, k));
    if (given[i])
      fail(ErrorKind::Type, "[", op.name, "] got ", checked(PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, k))), " twice");
    given[i] = args[n + beside + k];
  }
  read(op, given, result);
}

void read_arguments(const Op& op, PyObject* tensors, PyObject* attributes, PyObject* device, Arguments& result) {
  const Ref t = owned(PySequence_Fast(tensors, "tensors must be a sequence"));
  const Ref a = owned(PySequence_Fast(attributes, "attributes must be a sequence"));
  const Py_ssize_t nt = PySequence_Fast_GET_SIZE(t.get()), na = PySequence_Fast_GET_SIZE(a.get());
  const auto n_tensors = static_cast<Py_ssize_t>(op.tensors.size()),
             n_attributes = static_cast<Py_ssize_t>(op.attributes.size());
  if ((nt > n_tensors && !op.variadic) || na > n_attributes)
    fail(ErrorKind::Type, "[", op.name, "] got ", nt, " tensors and ", na, " attributes: ", op.signature);
  const Py_ssize_t inputs = op.variadic ? nt : n_tensors;
  result.in.resize(static_cast<size_t>(inputs));
  result.objects.resize(static_cast<size_t>(inputs));
  for (Py_ssize_t i = 0; i < nt; i++) result.objects[static_cast<size_t>(i)] = PySequence_Fast_GET_ITEM(t.get(), i);
  read_tensors(op, result);
  for (Py_ssize_t k = 0; k < n_attributes; k++)
    add_attribute(op, op.attribute(static_cast<int>(k)), k < na ? PySequence_Fast_GET_ITEM(a.get(), k) : nullptr,
                  result);
  if (op.tensors.empty()) result.place = to_place(op.name.c_str(), device);
}

std::string python_signature(const Op& op) {
  std::ostringstream s;
  s << op.name << "(";
  bool first = true;
  for (const Param& p : op.params) {
    s << (first ? "" : ", ") << p.name;
    first = false;
    if (!p.has_default) continue;
    const Attr& d = p.fallback;
    s << "=";
    switch (d.kind) {
      case Attr::Kind::None: s << "None"; break;
      case Attr::Kind::Int: s << d.i; break;
      case Attr::Kind::Float: s << d.f; break;
      case Attr::Kind::Bool: s << (d.i ? "True" : "False"); break;
      case Attr::Kind::Type: s << name(static_cast<Dtype>(d.i)); break;
      case Attr::Kind::Text: s << "'" << d.text << "'"; break;
      case Attr::Kind::List: s << "()"; break;
    }
  }
  s << ")";
  return s.str();
}

void read_names(const char* function, std::initializer_list<const char*> names, PyObject* const* args, Py_ssize_t n,
                PyObject* keywords, PyObject** values) {
  const auto most = static_cast<Py_ssize_t>(names.size());
  if (n > most) fail(ErrorKind::Type, "[", function, "] got ", n, " arguments, expected at most ", most);
  for (Py_ssize_t i = 0; i < most; i++) values[i] = i < n ? args[i] : nullptr;
  for (Py_ssize_t k = 0; keywords && k < PyTuple_GET_SIZE(keywords); k++) {
    PyObject* keyword = PyTuple_GET_ITEM(keywords, k);
    Py_ssize_t at = 0;
    for (const char* name : names) {
      if (is_text(keyword, name) || (!std::strcmp(name, "dim") && is_text(keyword, "axis"))) break;
      at++;
    }
    if (at == most)
      fail(ErrorKind::Type, "[", function, "] has no parameter '", checked(PyUnicode_AsUTF8(keyword)), "'");
    if (values[at]) fail(ErrorKind::Type, "[", function, "] got ", names.begin()[at], " twice");
    values[at] = args[n + k];
  }
}

}  // namespace tg::bind

// Which Python exception a core error becomes.
#include <new>
#include <string_view>

#include "bind/module.h"
#include "bind/python.h"

namespace tg::bind {

// trigrad.OutOfMemoryError: a MemoryError as Python has it, and a RuntimeError as PyTorch's is.
PyObject* out_of_memory_error() {
  static PyObject* const made = [] {
    const Ref bases(Py_BuildValue("(OO)", PyExc_MemoryError, PyExc_RuntimeError));
    return PyErr_NewExceptionWithDoc("trigrad.OutOfMemoryError",
                                     R"(A GPU has no room for a tensor. Nothing was changed.

>>> import trigrad as tg
>>> tg.OutOfMemoryError.__bases__
(<class 'MemoryError'>, <class 'RuntimeError'>))",
                                     bases.get(), nullptr);
  }();
  return made ? made : PyExc_MemoryError;
}

namespace {

PyObject* exception_type(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Type: return PyExc_TypeError;
    case ErrorKind::Value: return PyExc_ValueError;
    case ErrorKind::Index: return PyExc_IndexError;
    case ErrorKind::Memory: return PyExc_MemoryError;
    case ErrorKind::DeviceMemory: return out_of_memory_error();
    case ErrorKind::NotImplemented: return PyExc_NotImplementedError;  // a RuntimeError, as in PyTorch
    case ErrorKind::Runtime: break;
  }
  return PyExc_RuntimeError;
}

}  // namespace

void set_python_error() noexcept {
  try {
    throw;
  } catch (const PythonError&) {  // set already
  } catch (const Error& e) {
    // A row called native_... speaks under the name of the function that wraps it.
    const std::string_view text = e.what(), native = "[native_";
    const Ref message(text.starts_with(native) ? PyUnicode_FromFormat("[%s", e.what() + native.size())
                                               : PyUnicode_FromString(e.what()));
    if (message) PyErr_SetObject(exception_type(e.kind), message.get());
  } catch (const std::bad_alloc&) {
    PyErr_SetString(PyExc_MemoryError, "the system refused memory");
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
}

}  // namespace tg::bind

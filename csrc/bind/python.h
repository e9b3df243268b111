// What every file of this room needs: Python's API, owning references, and the way from C++ errors to Python's.
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <utility>
#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

#include "core/error.h"

namespace tg::bind {

// Thrown when a Python exception is already set.
struct PythonError {};

template <class T>
T* checked(T* object) {
  if (!object) throw PythonError{};
  return object;
}

// An owned reference.
class Ref {
 public:
  Ref() = default;
  explicit Ref(PyObject* owned) : object_(owned) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { Py_XDECREF(object_); }
  PyObject* get() const { return object_; }
  PyObject* release() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

// A new reference that must exist.
inline Ref owned(PyObject* object) { return Ref(checked(object)); }
inline Ref borrowed(PyObject* object) { return Ref(Py_NewRef(object)); }

// Turns the exception being handled into Python's (errors.cpp). Call it inside a catch block only.
void set_python_error() noexcept;

// Runs `body`. If it throws, the Python exception is set and `failed` is returned: what a C slot must do. A daemon thread
// that wants the GIL back from an interpreter that has ended is itself ended by Python (pthread_exit): that unwinding has
// to pass through here, and through ~WithoutGil, unhindered.
template <class Body, class Result = PyObject*>
Result guarded(Body&& body, Result failed = nullptr) {
  try {
    return body();
#if defined(__GLIBCXX__)
  } catch (abi::__forced_unwind&) {
    throw;
#endif
  } catch (...) {
    set_python_error();
    return failed;
  }
}

// Holds the GIL released while it lives.
class WithoutGil {
 public:
  explicit WithoutGil(bool release) : state_(release ? PyEval_SaveThread() : nullptr) {}
  ~WithoutGil() noexcept(false) {
    if (state_) PyEval_RestoreThread(state_);
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace tg::bind

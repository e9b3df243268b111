// What Python's side of a recording notices beside the calls of rows: gradients that are set, tensors that are asked whether
// they require one, values that are read (and must not be).
#pragma once
#include "bind/python.h"
#include "core/tensor.h"

namespace tg::bind {

// Does this thread record, and is the recording not paused? Where none does, one integer says so.
extern int threads_recording;  // under the GIL
bool this_thread_records();
inline bool is_recording() { return threads_recording && this_thread_records(); }

// Raises while this thread records: what Python learns from a tensor's value cannot be repeated without it.
void refuse_reading(const char* what);
// The same for a copy on another device, which is made without the door.
void refuse_moving(const char* what, const Tensor& t);
// The same for memory of numpy, which would be taken for the array of every later call.
void refuse_array(const char* what);

// To be called before x.grad is read or set, and when x was asked whether it requires a gradient.
void about_to_read_grad(PyObject* tensor);
void about_to_set_grad(PyObject* tensor);
void note_asked_for_grad(PyObject* tensor);
inline void asked_for_grad(PyObject* tensor) {
  if (is_recording()) note_asked_for_grad(tensor);
}

// Rises when something changes that plans were recorded under and cannot see: attributes of modules, hooks, requires_grad.
void structure_changed();

void init_plan(PyObject* core_module);

}  // namespace tg::bind

// The module as the files of this folder call it.
#pragma once
#include "core/tensor.h"
#include "cuda/abi.h"
#include "cuda/backend.h"

namespace tg::cuda {

const Module& module();  // refuses, in words, where it cannot be called
[[noreturn]] void raise(const Failure& f, const char* op = nullptr);

// Calls what the module has under that name, and raises what it says.
template <auto member, class... Args>
void ask(const Args&... args) {
  Failure failure;
  if (!(module().*member)(args..., &failure)) raise(failure, "cuda");
}

extern Waiter waiter;  // backend.h
// f(), which waits for a GPU.
template <class F>
void wait_by(F f) {
  waiter([](void* context) { (*static_cast<F*>(context))(); }, &f);
}

void* current_handle(int index);  // of this thread's stream

// Bytes from place to place, after what the streams of both were asked so far and before what they are asked next.
void copy(Place to_place, void* to, Place from_place, const void* from, size_t bytes, bool wait);

void install_device_memory();  // the sources of core/memory.h

}  // namespace tg::cuda

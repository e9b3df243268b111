// The CUDA backend as the extension sees it: a shared module beside it, loaded when it is first asked for.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace tg::cuda {

// Why nothing can be computed on a GPU here, in words that follow "CUDA is"; empty where it can. Looks once per process.
const std::string& absence();

// The GPU that stands for all of them where none is named: of this thread.
int current_device();
void set_current_device(int index);

// Refuses, with the remedy, unless device `index` is there.
void require(const char* op, int64_t index);

struct Description {
  std::string name;
  int major, minor, multiprocessors;
  uint64_t memory;
};
std::vector<Description> devices();  // none where CUDA is absent
void synchronize(int index);         // returns when all calls so far are done

// How a call waits for a GPU: by wait(context), which may take long; Python lets its other threads go on meanwhile. No lock is held
// then, and what the call needs afterwards is its own. Only a device that is full is waited for in another way.
using Waiter = void (*)(void (*wait)(void* context), void* context);
void set_waiter(Waiter waiter);

struct Build {
  int driver, runtime;  // 1000 major + 10 minor; 0: none is here
  std::string architectures;
};
Build build();  // of the module; zeros where it is absent
struct Room {
  uint64_t free, total;
};
Room room(int index);  // in the device's memory

}  // namespace tg::cuda

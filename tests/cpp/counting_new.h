// Counts what operator new hands out, in the one program that includes this.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

inline std::atomic<size_t> allocations{0}, allocated_bytes{0};

// Not inlined: a compiler that sees malloc and free behind new and delete warns of a mismatch.
__attribute__((noinline)) void* operator new(std::size_t n) {
  allocations++, allocated_bytes += n;
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* p) noexcept { std::free(p); }
__attribute__((noinline)) void operator delete(void* p, std::size_t) noexcept { std::free(p); }

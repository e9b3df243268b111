// Counts what is handed out by operator new, and on glibc, where no sanitizer does the same, by malloc and its like; in the
// one program that includes this.
#pragma once
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(realtime_sanitizer)
#define TG_SANITIZER_HAS_MALLOC
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TG_SANITIZER_HAS_MALLOC
#endif

inline std::atomic<size_t> allocations{0}, allocated_bytes{0};
inline void count_allocation(size_t n) { allocations++, allocated_bytes += n; }

#if defined(__GLIBC__) && !defined(TG_SANITIZER_HAS_MALLOC)
inline constexpr bool kCountsMalloc = true;
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void* malloc(size_t n) noexcept {
  count_allocation(n);
  return __libc_malloc(n);
}
void* calloc(size_t count, size_t n) noexcept {
  count_allocation(count * n);
  return __libc_calloc(count, n);
}
void* realloc(void* p, size_t n) noexcept {
  count_allocation(n);
  return __libc_realloc(p, n);
}
void* aligned_alloc(size_t alignment, size_t n) noexcept {
  count_allocation(n);
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** p, size_t alignment, size_t n) noexcept {
  count_allocation(n);
  *p = __libc_memalign(alignment, n);
  return *p ? 0 : ENOMEM;
}
}
#else
inline constexpr bool kCountsMalloc = false;
#endif

// Not inlined: a compiler that sees malloc and free behind new and delete warns of a mismatch.
__attribute__((noinline)) void* operator new(std::size_t n) {
  if constexpr (!kCountsMalloc) count_allocation(n);
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
__attribute__((noinline)) void* operator new(std::size_t n, const std::nothrow_t&) noexcept {
  if constexpr (!kCountsMalloc) count_allocation(n);
  return std::malloc(n);
}
__attribute__((noinline)) void operator delete(void* p) noexcept { std::free(p); }
__attribute__((noinline)) void operator delete(void* p, std::size_t) noexcept { std::free(p); }

// The floating-point control word that the one arithmetic needs: round to nearest, denormals kept, nothing trapped.
// A foreign library may have left another one on (flush-to-zero, directed rounding); the guard sets ours and restores theirs.
#pragma once
#include <cstdint>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace tg {

class FloatEnv {
 public:
#if defined(__SSE__)
  static constexpr uint32_t kStatus = 0x3f, kOurs = 0x1f80;  // all exceptions masked, nearest, no FTZ, no DAZ
  FloatEnv() : saved_(_mm_getcsr()) {
    if ((saved_ & ~kStatus) != kOurs) [[unlikely]]
      _mm_setcsr(kOurs);
  }
  ~FloatEnv() {
    if ((saved_ & ~kStatus) != kOurs) [[unlikely]]
      _mm_setcsr(saved_);
  }

 private:
  uint32_t saved_;
#elif defined(__aarch64__)
  static constexpr uint64_t kRelevant = 0x07c8'9f00;  // AHP DN FZ RMode, FZ16, and the trap enables
  FloatEnv() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    if (saved_ & kRelevant) [[unlikely]] {
      asm volatile("msr fpcr, %0" ::"r"(saved_ & ~kRelevant));
    }
  }
  ~FloatEnv() {
    if (saved_ & kRelevant) [[unlikely]] {
      asm volatile("msr fpcr, %0" ::"r"(saved_));
    }
  }

 private:
  uint64_t saved_;
#else
  FloatEnv() {}  // no control word that we know of
#endif
 public:
  FloatEnv(const FloatEnv&) = delete;
  FloatEnv& operator=(const FloatEnv&) = delete;
};

// Flushes denormals to zero while it lives, in results and in operands: what a caller has to ask for by name.
class FlushDenormals {
 public:
#if defined(__SSE__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(FloatEnv::kOurs | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  uint32_t saved_;
#elif defined(__aarch64__)
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" ::"r"((saved_ & ~uint64_t(0x07c8'9f00)) | (uint64_t(1) << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }

 private:
  uint64_t saved_;
#else
  FlushDenormals() {}
#endif
 public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

}  // namespace tg

#include "cpu/pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/float_env.h"
#include "core/memory.h"

namespace tg {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSpin = std::chrono::microseconds(200);
constexpr auto kBetweenMoves = std::chrono::milliseconds(1);  // a crowded machine may put the worker back
constexpr int kMaxThreads = 256;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

thread_local bool inside_task = false;

#if defined(__linux__)
int current_cpu() { return sched_getcpu(); }
// A worker that the system put on its caller's CPU would share it until the load is next balanced, tens of milliseconds
// later. Forbidding that CPU for a moment moves the worker to another one that it may use, if there is one.
void leave_cpu(int cpu) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2 || !CPU_ISSET(cpu, &allowed))
    return;
  cpu_set_t others = allowed;
  CPU_CLR(cpu, &others);
  if (sched_setaffinity(0, sizeof others, &others) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
}
#else
int current_cpu() { return -1; }
void leave_cpu(int) {}
#endif

class Pool {
 public:
  void run(int64_t tasks, void (*fn)(void*, int64_t), void* ctx, int threads) {
    try {
      for (; workers_ < threads - 1; workers_++) std::thread(&Pool::work, this, workers_).detach();
    } catch (const std::system_error&) {  // the system gives no more threads: those there are do the work
    }
    threads = std::min(threads, workers_ + 1);
    fn_ = fn;
    ctx_ = ctx;
    total_ = tasks;
    helpers_.store(threads - 1, std::memory_order_relaxed);
    caller_cpu_.store(current_cpu(), std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    failed_.store(false, std::memory_order_relaxed);
    generation_++;
    state_.store(uint64_t{generation_} << 32 | static_cast<uint64_t>(tasks), std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      wake_.fetch_add(1, std::memory_order_release);
      wake_.notify_all();
    }
    inside_task = true;
    while (take_one()) {}
    for (int spins = 0; done_.load(std::memory_order_acquire) != tasks; spins++) {
      if (spins < 4096) relax();
      else sched_yield();
    }
    inside_task = false;
    if (failed_.load(std::memory_order_acquire)) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  // state_ = generation << 32 | tasks not yet taken. Taking one is a compare-and-swap, which cannot succeed on a job that
  // is over: its remainder is 0. fn_, ctx_ and total_ are read after a task was taken, so they belong to its job.
  bool take_one() {
    uint64_t s = state_.load(std::memory_order_acquire);
    for (;;) {
      if ((s & 0xffffffffu) == 0) return false;
      if (state_.compare_exchange_weak(s, s - 1, std::memory_order_acq_rel, std::memory_order_acquire)) break;
    }
    const int64_t left = static_cast<int64_t>(s & 0xffffffffu);
    try {
      fn_(ctx_, total_ - left);
    } catch (...) {
      if (!failed_.exchange(true, std::memory_order_acq_rel)) error_ = std::current_exception();
    }
    done_.fetch_add(1, std::memory_order_release);
    return true;
  }

  void work(int id) {
    FloatEnv ours;  // the thread inherited its creator's control word
    inside_task = true;
    auto moved = Clock::now() - kBetweenMoves;
    for (;;) {
      auto start = Clock::now();
      for (int spins = 1;; spins++) {
        if ((state_.load(std::memory_order_acquire) & 0xffffffffu) != 0 &&
            id < helpers_.load(std::memory_order_relaxed)) {
          FloatEnv still_ours;
          if (take_one()) {
            start = Clock::now();
            spins = 1;
            continue;
          }
        }
        relax();
        if (spins % 64) continue;
        const auto now = Clock::now();
        if (now - start > kSpin) break;
        if (const int cpu = current_cpu();
            cpu >= 0 && cpu == caller_cpu_.load(std::memory_order_relaxed) && now - moved > kBetweenMoves) {
          leave_cpu(cpu);
          moved = now;
        }
      }
      const uint32_t seen = wake_.load(std::memory_order_acquire);
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      if ((state_.load(std::memory_order_seq_cst) & 0xffffffffu) == 0 || id >= helpers_.load(std::memory_order_relaxed))
        wake_.wait(seen, std::memory_order_acquire);
      sleepers_.fetch_sub(1, std::memory_order_seq_cst);
    }
  }

  int workers_ = 0;
  uint32_t generation_ = 0;
  void (*fn_)(void*, int64_t) = nullptr;
  void* ctx_ = nullptr;
  int64_t total_ = 0;
  std::exception_ptr error_;
  alignas(64) std::atomic<uint64_t> state_{0};
  alignas(64) std::atomic<int64_t> done_{0};
  std::atomic<bool> failed_{false};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<uint32_t> wake_{0};
  std::atomic<int> helpers_{0};
  std::atomic<int> caller_cpu_{-1};
};

std::atomic<Pool*> the_pool{nullptr};
std::atomic<bool> busy{false};
std::atomic<int> threads{0};  // 0: not yet read from the environment

// CPUs that this process may use: affinity mask, then the cgroup's quota.
int usable_cpus() {
  int n = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) n = std::max(1, CPU_COUNT(&mask));
  double quota = -1, period = 0;
  std::string first;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> first >> period && first != "max")
    quota = std::atof(first.c_str());
  if (quota <= 0) {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  if (quota > 0 && period > 0) n = std::min(n, std::max(1, static_cast<int>(std::ceil(quota / period))));
#endif
  return std::min(n, kMaxThreads);
}

int threads_from_environment() {
  if (const char* text = std::getenv("TRIGRAD_NUM_THREADS"); text && *text) {
    char* end;
    const long n = std::strtol(text, &end, 10);
    if (*end || n < 1 || n > kMaxThreads)
      fail(ErrorKind::Value, "TRIGRAD_NUM_THREADS is '", text, "', expected a whole number from 1 to ", kMaxThreads);
    return static_cast<int>(n);
  }
  const int cpus = usable_cpus();
  if (const char* text = std::getenv("OMP_NUM_THREADS"); text && *text) {
    const long n = std::strtol(text, nullptr, 10);  // "4,2" means 4 at the outermost level
    if (n >= 1) return static_cast<int>(std::min<long>(n, kMaxThreads));
  }
  return cpus;
}

// A forked child has none of the parent's threads: it starts with a new pool.
void after_fork_in_child() {
  the_pool.store(nullptr, std::memory_order_relaxed);
  busy.store(false, std::memory_order_relaxed);
}

Pool& pool() {
  Pool* p = the_pool.load(std::memory_order_acquire);
  if (!p) {  // only one caller can be here: it holds `busy`
    static const int registered = pthread_atfork(nullptr, nullptr, after_fork_in_child);
    (void)registered;
    p = new Pool;  // never destroyed: its workers sleep until the process ends
    the_pool.store(p, std::memory_order_release);
  }
  return *p;
}

}  // namespace

int num_threads() {
  if (inside_task) return 1;
  int n = threads.load(std::memory_order_relaxed);
  if (n == 0) threads.store(n = threads_from_environment(), std::memory_order_relaxed);
  return n;
}

void set_num_threads(int n) {
  if (n < 1 || n > kMaxThreads) fail(ErrorKind::Value, "[set_num_threads] got ", n, ", expected 1 to ", kMaxThreads);
  threads.store(n, std::memory_order_relaxed);
}

void parallel(int64_t tasks, void (*fn)(void*, int64_t), void* ctx) {
  const int n = tasks > 1 && !inside_task ? static_cast<int>(std::min<int64_t>(tasks, num_threads())) : 1;
  if (n > 1 && !busy.exchange(true, std::memory_order_acquire)) {
    struct Release {
      ~Release() { busy.store(false, std::memory_order_release); }
    } release_when_done;
    if (tasks > 0xffffffff) fail(ErrorKind::Value, "parallel() takes at most 2^32 - 1 tasks, got ", tasks);
    pool().run(tasks, fn, ctx, n);
    return;
  }
  for (int64_t i = 0; i < tasks; i++) fn(ctx, i);
}

void* scratch(int slot, size_t bytes) {
  struct Buffer {
    void* data = nullptr;
    size_t bytes = 0;
    ~Buffer() {
      if (data) release(data, bytes);
    }
  };
  static thread_local Buffer buffers[kScratchSlots];
  Buffer& b = buffers[slot];
  if (b.bytes < bytes) {
    if (b.data) release(b.data, b.bytes);
    b.data = nullptr;
    b.bytes = 0;
    b.data = allocate(bytes);
    b.bytes = bytes;
  }
  return b.data;
}

}  // namespace tg

// The thread pool: every task once, whoever calls, after a fork, under a foreign control word, and when a task throws.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.h"
#include "core/error.h"
#include "cpu/pool.h"

using namespace tg;

// parallel() over a callable.
template <class F>
static void each(int64_t tasks, F&& body) {
  parallel(tasks, [](void* f, int64_t task) { (*static_cast<std::remove_reference_t<F>*>(f))(task); }, &body);
}

// Runs `tasks` tasks and says whether each ran exactly once.
static bool all_once(int64_t tasks) {
  std::vector<std::atomic<int>> ran(static_cast<size_t>(tasks));
  each(tasks, [&](int64_t task) { ran[static_cast<size_t>(task)].fetch_add(1, std::memory_order_relaxed); });
  for (auto& times : ran)
    if (times.load() != 1) return false;
  return true;
}

static void every_task_runs_once() {
  for (int threads : {1, 2, 3, 4, 8}) {
    set_num_threads(threads);
    CHECK_EQ(num_threads(), threads);
    for (int64_t tasks : {0, 1, 2, 3, 7, 64, 1000}) CHECK(all_once(tasks));
  }
}

static void short_jobs_follow_each_other() {
  set_num_threads(4);
  long long sum = 0;
  for (int job = 0; job < 20000; job++) {
    std::atomic<int> here{0};
    each(3, [&](int64_t task) { here.fetch_add(static_cast<int>(task) + 1, std::memory_order_relaxed); });
    sum += here.load();
  }
  CHECK_EQ(sum, 20000LL * 6);
}

static void workers_wake_from_sleep() {
  set_num_threads(3);
  for (int round = 0; round < 5; round++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // beyond the time that workers spin
    CHECK(all_once(50));
  }
}

static void a_sleeping_worker_does_help() {
  set_num_threads(2);
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  // Each task waits for the other: this ends only if two threads take one each.
  std::atomic<int> arrived{0};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  each(2, [&](int64_t) {
    arrived++;
    while (arrived < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  CHECK(std::chrono::steady_clock::now() < deadline);
}

static void nested_calls_run_serially() {
  set_num_threads(4);
  std::atomic<int> inner{0};
  std::atomic<int> elsewhere{0};
  each(8, [&](int64_t) {
    const auto me = std::this_thread::get_id();
    each(10, [&](int64_t) {
      inner++;
      elsewhere += std::this_thread::get_id() != me;
    });
  });
  CHECK_EQ(inner.load(), 80);
  CHECK_EQ(elsewhere.load(), 0);
}

static void two_callers_at_once() {
  set_num_threads(2);
  std::atomic<int> wrong{0};
  auto caller = [&] {
    for (int job = 0; job < 500; job++) wrong += !all_once(20);
  };
  std::thread other(caller);
  caller();
  other.join();
  CHECK_EQ(wrong.load(), 0);
}

static void an_exception_reaches_the_caller() {
  for (int threads : {1, 4}) {
    set_num_threads(threads);
    CHECK_THROWS(each(100,
                      [](int64_t task) {
                        if (task == 37) throw std::runtime_error("task 37");
                      }),
                 std::runtime_error, "task 37");
    CHECK(all_once(100));
  }
}

static void scratch_is_aligned_and_kept() {
  void* first = scratch(0, 100);
  CHECK_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
  CHECK(scratch(0, 50) == first);
  CHECK(scratch(1, 100) != first);
  static_cast<char*>(scratch(2, 1 << 20))[(1 << 20) - 1] = 1;
  void* others = nullptr;
  std::thread([&] { others = scratch(0, 100); }).join();
  CHECK(others != nullptr && others != first);
}

static void thread_numbers_are_checked() {
  CHECK_THROWS(set_num_threads(0), Error, "[set_num_threads] got 0, expected 1 to");
  CHECK_THROWS(set_num_threads(-3), Error, "got -3");
}

// Workers round to nearest though the caller that starts them rounds upwards. (The caller's own word is the door's care.)
static void workers_have_our_control_word() {
  constexpr int threads = 12;  // more than any other case: the new ones inherit the caller's word
  set_num_threads(threads);
  std::fesetround(FE_UPWARD);
  std::atomic<int> wrong{0};
  std::atomic<int> arrived{0};
  const auto caller = std::this_thread::get_id();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  each(threads, [&](int64_t) {
    volatile float one = 1, tiny = 0x1p-30f;
    if (std::this_thread::get_id() != caller) wrong += one + tiny != 1;
    arrived++;
    while (arrived < threads && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  std::fesetround(FE_TONEAREST);
  CHECK(std::chrono::steady_clock::now() < deadline);  // a thread for each task
  CHECK_EQ(wrong.load(), 0);
}

#if defined(__SANITIZE_THREAD__)
#define TG_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TG_UNDER_TSAN 1
#endif
#endif

#ifndef TG_UNDER_TSAN  // which refuses to start threads in a forked child
static void a_forked_child_has_a_working_pool() {
  set_num_threads(3);
  CHECK(all_once(10));
  for (int round = 0; round < 3; round++) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(30);  // a hang ends the child
      _exit(all_once(1000) && all_once(1000) ? 0 : 1);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
  }
  CHECK(all_once(10));
}
#endif

int main(int argc, char** argv) {
  return tg::test::run(argc, argv,
                       {CASE(every_task_runs_once), CASE(short_jobs_follow_each_other), CASE(workers_wake_from_sleep),
                        CASE(a_sleeping_worker_does_help), CASE(nested_calls_run_serially), CASE(two_callers_at_once),
                        CASE(an_exception_reaches_the_caller), CASE(scratch_is_aligned_and_kept),
                        CASE(thread_numbers_are_checked), CASE(workers_have_our_control_word),
#ifndef TG_UNDER_TSAN
                        CASE(a_forked_child_has_a_working_pool)
#endif
                       });
}

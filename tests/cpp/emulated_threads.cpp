// Compiled without the sanitizer: what the threads' keeper does is no access of theirs.
#include "emulated_threads.h"

#include <sanitizer/tsan_interface.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda/host.h"

extern "C" {  // how compiled code tells the sanitizer of its accesses
void __tsan_read_range(void* address, unsigned long bytes);
void __tsan_write_range(void* address, unsigned long bytes);
}

namespace tg::cuda::emulated {
namespace {

constexpr int kGroups = 4, kIdentities = 48;  // of the 256 that the sanitizer has
constexpr int kWarp = 32, kMostThreads = 1024;
constexpr size_t kStack = size_t{256} << 10, kPage = 4096, kMostShared = size_t{256} << 10;
constexpr unsigned kNoTell = __tsan_switch_to_fiber_no_sync;

std::byte* mapped(size_t bytes) {  // not by mmap(), behind which the sanitizer clears what it knows of all that memory
  const long all = syscall(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == -1) std::abort();
  return reinterpret_cast<std::byte*>(all);
}
void fill(void* at, size_t bytes) {  // not by memset, of which the sanitizer is told
  auto* byte = static_cast<volatile uint8_t*>(at);
  for (size_t i = 0; i < bytes; i++) byte[i] = 0xff;
}

struct Ahead {
  void* to;
  const void* from;
  size_t bytes;
  int step;
};
constexpr int kMostAhead = 4096;  // of a thread

enum class State { ready, at_barrier, at_exchange, done };
struct Thread {
  ucontext_t context;
  std::byte* stack = mapped(kStack);
  int number = 0;
  State state = State::done;
  const char* file = nullptr;
  int line = 0;
  Ahead* ahead = reinterpret_cast<Ahead*>(mapped(kMostAhead * sizeof(Ahead)));
  int step = 0, asked = 0, came = 0;  // steps that were closed; of `ahead`
};
// Lanes of a warp that exchange words.
struct Exchange {
  unsigned mask = 0, here = 0;
  uint32_t brought[kWarp], taken[kWarp];
};
struct Barrier {
  bool all = true;
  char clock;  // its address is what the sanitizer knows it by
};

// What blocks have that run one after the other, also to the sanitizer.
struct Group {
  std::vector<std::unique_ptr<Thread>> threads;
  Exchange exchanges[kMostThreads / kWarp][kWarp];  // by the first lane
  void* identities[kIdentities] = {};
  Barrier barriers[2];  // in turn: who leaves one late may not learn of those that are at the next
  int64_t passed = 0;   // barriers
  int64_t block = 0;    // how many there were
  char did[2];          // clocks, in turn likewise: what the blocks did
  std::byte* shared = mapped(kMostShared + kPage) + kMostShared;  // the end of it
  size_t shared_bytes = 0;                                        // of this block, filled
  Group() { mprotect(shared, kPage, PROT_NONE); }
};

struct Grid {
  Group groups[kGroups];
  ucontext_t keeper;
  void* keeper_identity = nullptr;
  Group* group = nullptr;    // of the block that runs
  Thread* thread = nullptr;  // that runs
  int64_t block = 0, blocks = 0;
  size_t bytes = 0;
  const std::function<void()>* kernel = nullptr;
  char started, ended;  // clocks
};
thread_local Grid* grid = nullptr;

// Of launches that are over, for those of whatever thread of the host.
std::mutex mutex;
std::vector<std::unique_ptr<Grid>> idle;

[[noreturn]] void wrong(const char* what, const Thread& a, const Thread& b) {
  auto say = [](const Thread& t) {
    const char* where[] = {"goes on", "waits at a barrier", "waits in an exchange", "has ended"};
    std::fprintf(stderr, "  thread %d %s", t.number, where[int(t.state)]);
    if (t.state == State::at_barrier) std::fprintf(stderr, ", %s:%d", t.file, t.line);
    std::fprintf(stderr, "\n");
  };
  std::fprintf(stderr, "WRONG BARRIER: %s, in block %lld\n", what, static_cast<long long>(grid->block));
  say(a);
  say(b);
  std::_Exit(67);  // not as the sanitizer does
}

void wait(State state) {
  Thread& self = *grid->thread;
  self.state = state;
  swapcontext(&self.context, &grid->keeper);
}

void begin_thread() {
  Grid& g = *grid;
  __tsan_acquire(&g.started);
  const int64_t block = g.group->block;
  __tsan_acquire(&g.group->did[(block + 1) % 2]);
  (*g.kernel)();
  __tsan_release(&g.group->did[block % 2]);
  __tsan_release(&g.ended);
  wait(State::done);
}

void resume(Grid& g, Thread& t, uint64_t dealt) {
  g.thread = &t;
  void*& identity = g.group->identities[scrambled(dealt + uint64_t(t.number)) % kIdentities];
  if (!identity) identity = __tsan_create_fiber(0);
  __tsan_switch_to_fiber(identity, kNoTell);
  swapcontext(&g.keeper, &t.context);
  __tsan_switch_to_fiber(g.keeper_identity, kNoTell);
}

void run_block(Grid& g, int threads, uint64_t dealt) {
  Group& group = *g.group;
  group.shared_bytes = 0;
  group.block++;
  while (int(group.threads.size()) < threads) group.threads.push_back(std::make_unique<Thread>());
  for (int t = 0; t < threads; t++) {
    Thread& thread = *group.threads[size_t(t)];
    thread.number = t;
    thread.state = State::ready;
    thread.step = thread.asked = thread.came = 0;
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack;
    thread.context.uc_stack.ss_size = kStack;
    thread.context.uc_link = nullptr;
    makecontext(&thread.context, begin_thread, 0);
  }
  for (;;) {
    bool went = false;
    in_some_order(threads, [&](int64_t t) {
      Thread& thread = *group.threads[size_t(t)];
      if (thread.state != State::ready) return;
      went = true;
      resume(g, thread, dealt);
    });
    if (went) continue;
    const Thread& first = *group.threads[0];  // none goes on: all are at the end, or all at one barrier
    for (int t = 0; t < threads; t++) {
      const Thread& other = *group.threads[size_t(t)];
      if (other.state != first.state) wrong("a part of a block waits for the others", first, other);
      if (other.state == State::at_exchange) wrong("lanes wait for others that do not come", other, first);
      if (other.state == State::at_barrier && (other.file != first.file || other.line != first.line))
        wrong("two barriers at a time", first, other);
    }
    if (first.state == State::done) return;
    group.passed++;
    group.barriers[group.passed % 2].all = true;
    for (int t = 0; t < threads; t++) group.threads[size_t(t)]->state = State::ready;
  }
}

}  // namespace

void let_others_go() { wait(State::ready); }

Place thread_index() { return {unsigned(grid->thread->number)}; }
Place block_index() { return {unsigned(grid->block)}; }
Place grid_size() { return {unsigned(grid->blocks)}; }

void run(int64_t blocks, int threads, size_t bytes, const std::function<void()>& kernel) {
  if (blocks <= 0) return;
  if (threads > kMostThreads || bytes > most_shared()) std::abort();
  std::unique_ptr<Grid> own;
  {
    const std::lock_guard lock(mutex);
    if (!idle.empty()) {
      own = std::move(idle.back());
      idle.pop_back();
    }
  }
  if (!own) own = std::make_unique<Grid>();
  Grid& g = *own;
  static std::atomic<uint64_t> launches{0};
  const uint64_t dealt = scrambled(++launches + (order_seed() << 32));
  g.keeper_identity = __tsan_get_current_fiber();
  g.blocks = blocks;
  g.bytes = bytes;
  g.kernel = &kernel;
  grid = &g;
  __tsan_release(&g.started);
  in_some_order(blocks, [&](int64_t block) {
    g.block = block;
    g.group = &g.groups[scrambled(dealt ^ uint64_t(block)) % kGroups];
    run_block(g, threads, dealt);
  });
  __tsan_acquire(&g.ended);
  grid = nullptr;
  const std::lock_guard lock(mutex);
  idle.push_back(std::move(own));
}

void* shared_memory(size_t bytes) {
  Group& group = *grid->group;
  if (bytes == 0) bytes = grid->bytes;
  bytes = (bytes + 15) / 16 * 16;
  if (group.shared_bytes == 0) fill(group.shared - bytes, group.shared_bytes = bytes);
  return group.shared - bytes;
}

bool barrier(bool mine, const char* file, int line) {
  Group& group = *grid->group;
  Thread& self = *grid->thread;
  Barrier& here = group.barriers[group.passed % 2];
  here.all = here.all && mine;
  self.file = file;
  self.line = line;
  __tsan_release(&here.clock);
  wait(State::at_barrier);
  __tsan_acquire(&here.clock);
  return here.all;
}

uint32_t exchanged(unsigned mask, uint32_t word, int apart) {
  Group& group = *grid->group;
  Thread& self = *grid->thread;
  const int warp = self.number / kWarp, lane = self.number % kWarp, other = lane ^ apart;
  if (!(mask >> lane & 1) || !(mask >> other & 1))
    wrong("an exchange with a lane that its mask does not name", self, *group.threads[size_t(warp * kWarp + other)]);
  Exchange& e = group.exchanges[warp][__builtin_ctz(mask)];
  if (e.here == 0) e.mask = mask;
  if (e.mask != mask)
    wrong("one exchange, two masks", self, *group.threads[size_t(warp * kWarp + __builtin_ctz(e.here))]);
  e.brought[lane] = word;
  e.here |= 1u << lane;
  if (e.here != mask) {
    wait(State::at_exchange);
  } else {
    e.here = 0;
    for (int l = 0; l < kWarp; l++) {
      if (!(mask >> l & 1)) continue;
      e.taken[l] = e.brought[l];
      group.threads[size_t(warp * kWarp + l)]->state = State::ready;
    }
  }
  return e.taken[other];
}

// On a device it may be written at any time from here on until it was waited for.
void copy_ahead(void* shared, const void* from, size_t bytes) {
  __tsan_read_range(const_cast<void*>(from), bytes);
  __tsan_write_range(shared, bytes);
  fill(shared, bytes);
  Thread& self = *grid->thread;
  if (self.asked == kMostAhead) std::abort();
  self.ahead[self.asked++] = {shared, from, bytes, self.step};
}
void close_step() { grid->thread->step++; }
void wait_for_step(int ahead) {
  Thread& self = *grid->thread;
  for (; self.came < self.asked && self.ahead[self.came].step < self.step - ahead; self.came++) {
    const Ahead& a = self.ahead[self.came];
    __tsan_read_range(const_cast<void*>(a.from), a.bytes);
    __tsan_write_range(a.to, a.bytes);
    const auto* from = static_cast<const volatile uint8_t*>(a.from);
    auto* to = static_cast<volatile uint8_t*>(a.to);
    for (size_t i = 0; i < a.bytes; i++) to[i] = from[i];
  }
  self.asked -= self.came;
  for (int i = 0; i < self.asked; i++) self.ahead[i] = self.ahead[i + self.came];
  self.came = 0;
}

}  // namespace tg::cuda::emulated

// A predictor's seat on the emulated device: the kernel that stays is a thread, whose blocks are loops over threads. It loads the
// net while the device's memory can be read; afterwards it has its chip and the words that it shares with the host.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "cuda/predict_device.h"

namespace tg::cuda::device {
namespace {

using Clock = std::chrono::steady_clock;

#if defined(TG_THREADS)

__global__ void run_event(const EventBody body) {
  TG_SHARED_BYTES(chip);
  answer_events(body, int(threadIdx.x), reinterpret_cast<char*>(chip), [] {
    emulated::let_others_go();
    return uint64_t(Clock::now().time_since_epoch().count());
  });
}

// What stays until it is told to end: its net is copied, for the device's memory closes meanwhile.
class Staying {
 public:
  explicit Staying(const EventBody& body)
      : body_(body),
        steps_(body.net.steps, body.net.steps + body.net.count),
        numbers_(body.net.numbers, body.net.numbers + body.net.floats) {
    body_.net.steps = steps_.data();
    body_.net.numbers = numbers_.data();
  }
  void operator()() const { run_once(body_, Stream{}); }
  static void run_once(const EventBody& body, Stream stream) {
    launch(run_event, 1, kEventThreads, EventBody::bytes(body.net), stream, body);
  }

 private:
  EventBody body_;
  std::vector<EventStep> steps_;
  std::vector<float> numbers_;
};

#else

struct Chip {
  std::vector<std::max_align_t> room;
  explicit Chip(const EventBody& body) : room(EventBody::bytes(body.net) / sizeof(std::max_align_t) + 1) {
    in_some_order<kEventThreads>([&](int t) { body.load(t, data()); });
  }
  char* data() { return reinterpret_cast<char*>(room.data()); }
};

// False: no event came.
template <class Waited>
bool one_event(const EventBody& body, uint32_t now, Chip& chip, Waited waited) {
  bool come = true;
  in_some_order<kEventThreads>([&](int t) { come = come && body.receive(now, t, chip.data(), waited); });
  if (!come) return false;
  for (int step = 0; step < body.net.count; step++)
    in_some_order<kEventThreads>([&](int t) { body.work(step, t, chip.data()); });
  in_some_order<kEventThreads>([&](int t) { body.send(now, t, chip.data()); });
  return true;
}

void stay(const EventBody& body, Chip& chip) {
  for (uint32_t now = body.tag;; now = tag_after(now)) {
    const auto since = Clock::now();
    const bool come = one_event(body, now, chip, [&](uint32_t) {
      std::this_thread::yield();
      return Clock::now() - since > std::chrono::nanoseconds(body.patience);
    });
    if (!come) break;
  }
  write_word(body.mail.ended, word_of(body.end_count, 0));
}

// What stays until it is told to end: its net is on the chip before the device's memory closes.
class Staying {
 public:
  explicit Staying(const EventBody& body) : body_(body), chip_(body) {}
  void operator()() { stay(body_, chip_); }
  static void run_once(const EventBody& body, Stream) {
    Chip chip(body);
    one_event(body, body.tag, chip, [](uint32_t) { return true; });
  }

 private:
  EventBody body_;
  Chip chip_;
};

#endif

}  // namespace

Room room(int) { return {96 << 10, std::getenv("TRIGRAD_EMULATED_ALONE") ? 66 : 4, false}; }

struct Seat::Parts {
  std::function<void(Stream)> graph;
  std::thread kernel;
  std::atomic<bool> runs{false};
  std::vector<void*> blocks, shared;
};

Seat::Seat(int index) : index_(index), parts_(new Parts) {}
Seat::~Seat() {
  if (parts_->kernel.joinable()) parts_->kernel.join();
  delete parts_;
}

void* Seat::take(const void* bytes, size_t count) {
  void* block = device::take(index_, count);
  if (!block) throw Refusal{ErrorKind::Memory, "memory for the net: there is no room"};
  parts_->blocks.push_back(block);
  copy({block, bytes, count, index_, kHost});
  return block;
}
void* Seat::share(size_t count, void** on_device) {
  void* block = std::calloc(1, count);
  parts_->shared.push_back(block);
  *on_device = block;
  return block;
}
void Seat::free() {
  for (void* b : parts_->blocks) give(index_, b);
  for (void* b : parts_->shared) std::free(b);
  parts_->blocks.clear();
  parts_->shared.clear();
}

void Seat::run(const EventBody& body, Stream stream) const { Staying::run_once(body, stream); }
void Seat::capture(const std::function<void(Stream)>& work) { parts_->graph = work; }
void Seat::launch() {
  const Use on(index_);
  parts_->graph(on.stream());
}
void Seat::start(const EventBody& body) {
  if (parts_->kernel.joinable()) parts_->kernel.join();
  std::shared_ptr<Staying> stays;
  {
    const Use on(index_);
    stays = std::make_shared<Staying>(body);
  }
  parts_->runs = true;
  parts_->kernel = std::thread([this, stays] {
    (*stays)();
    parts_->runs = false;
  });
}
bool Seat::idle() { return !parts_->runs; }

}  // namespace tg::cuda::device

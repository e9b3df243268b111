// Predictors: the host's side of the mailbox.
#include "cuda/predict.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "cuda/predict_device.h"
#include "cuda/predictors.h"

namespace tg::cuda::predictors {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kSpin = 50e-6;  // seconds after which a wait lets other threads of the host run
constexpr double kEnd = 5;       // seconds that a kernel has to end

double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// until() holds within these seconds
template <class Until>
bool within(double seconds, Until until) {
  for (int polls = 0; polls < 256; polls++)
    if (until()) return true;
  const auto begin = Clock::now();
  for (;;) {
    for (int polls = 0; polls < 64; polls++)
      if (until()) return true;
    const double spent = since(begin);
    if (spent > seconds) return false;
    if (spent > kSpin) std::this_thread::yield();
  }
}

class Predictor {
 public:
  Predictor(int index, const EventNet& net, PredictorMode mode, double idle_seconds)
      : index_(index), mode_(mode), idle_(uint64_t(idle_seconds * 1e9)), net_(net), seat_(index) {
    try {
      net_.steps = static_cast<const EventStep*>(seat_.take(net.steps, size_t(net.count) * sizeof(EventStep)));
      const float none = 0;
      net_.numbers = static_cast<const float*>(net.floats ? seat_.take(net.numbers, size_t(net.floats) * 4)
                                                          : seat_.take(&none, sizeof none));
      const size_t words = size_t(net.inputs) + size_t(net.outputs) + 1;
      void* there = nullptr;
      auto* here = static_cast<Word*>(seat_.share(words * sizeof(Word), &there));
      host_ = mailbox(here);
      device_ = mailbox(static_cast<Word*>(there));
      const bool fits = EventBody::bytes(net_) <= device::room(index).chip;
      if (mode == PredictorMode::graph)
        fits ? seat_.capture([&](Stream s) { seat_.run({net_, device_}, s); }) : capture_parts(net.steps);
    } catch (...) {
      seat_.free();
      throw;
    }
  }
  ~Predictor() { seat_.free(); }

  int index() const { return index_; }
  bool persistent() const { return mode_ == PredictorMode::persistent; }

  bool run(const float* x, float* y, double seconds) {
    if (lost_)
      throw Refusal{ErrorKind::Runtime,
                    "an event before this one was not answered; close the predictor and make it anew"};
    if (x) take_turn();
    try {
      if (x) send(x);
      if (!wait(seconds)) return false;
    } catch (...) {
      give_up();
      throw;
    }
    for (int i = 0; i < net_.outputs; i++) y[i] = number_of(read_word(host_.out + i));
    busy_.store(false, std::memory_order_release);
    return true;
  }
  void give_up() {
    lost_ = true;
    busy_.store(false, std::memory_order_release);
  }

  // The kernel that stays ends, after the event that it is at.
  void rest() {
    take_turn();
    try {
      end();
    } catch (...) {  // the device has failed: others are told so, rather than left to wait for their turn
      busy_.store(false, std::memory_order_release);
      throw;
    }
    busy_.store(false, std::memory_order_release);
  }
  bool end() {
    if (running_) {
      for (int i = 0; i < net_.inputs; i++) write_word(host_.in + i, word_of(kEndTag, 0));
      running_ = false;
    }
    return within(kEnd, [&] { return seat_.idle(); });
  }

 private:
  void take_turn() {
    while (busy_.exchange(true, std::memory_order_acquire)) std::this_thread::yield();
  }
  Mailbox mailbox(Word* first) const { return {first, first + net_.inputs, first + net_.inputs + net_.outputs}; }

  // A launch for each step: a net that does not fit on the chip is spread over the device.
  void capture_parts(const EventStep* steps) {
    const std::vector<float> zeros(size_t(net_.values));
    auto* values = static_cast<float*>(seat_.take(zeros.data(), zeros.size() * sizeof(float)));
    const EventPlace at{net_.steps, net_.numbers, values};
    const std::vector<EventStep> all(steps, steps + net_.count);
    seat_.capture([this, at, all, values](Stream s) {
      each(s, net_.inputs, ReceivePart{device_, values});
      for (const EventStep& step : all)
        teams(s, (step.n + StepPart::threads - 1) / StepPart::threads, StepPart{at, step});
      each(s, net_.outputs, SendPart{device_, values + net_.answer});
    });
  }

  void send(const float* x) {
    tag_ = tag_after(tag_);
    for (int i = 0; i < net_.inputs; i++) write_word(host_.in + i, word_of(tag_, x[i]));
    if (persistent()) ensure();
    else seat_.launch();
  }
  // A kernel that has ended by itself is started again, with the event that lies there.
  void ensure() {
    if (running_ && tag_of(read_word(host_.ended)) != starts_) return;
    EventBody body{net_, device_};
    body.tag = tag_;
    body.end_count = ++starts_;
    body.patience = idle_;
    running_ = false;
    seat_.start(body);
    running_ = true;
  }
  bool wait(double seconds) {
    int next = 0, polls = 0;
    return within(seconds, [&] {
      while (next < net_.outputs && tag_of(read_word(host_.out + next)) == tag_) next++;
      if (next == net_.outputs) return true;
      if (++polls % 1024 == 0 && persistent()) ensure();
      if (polls % (1 << 16) == 0) seat_.idle();  // throws if the device has failed
      return false;
    });
  }

  int index_;
  PredictorMode mode_;
  uint64_t idle_;
  EventNet net_;
  device::Seat seat_;
  Mailbox host_, device_;
  std::atomic<bool> busy_{false};  // an event is on its way, or the kernel is being ended
  bool running_ = false, lost_ = false;
  uint32_t tag_ = kNoTag, starts_ = 0;
};

std::mutex mutex;  // of the list
std::vector<Predictor*>& persistent() {
  static auto* all = new std::vector<Predictor*>;  // outlives static destructors
  return *all;
}
std::atomic<int> staying{0};  // how many are in it

std::string bytes_of(size_t n) { return std::to_string(n) + " bytes"; }

}  // namespace

void* open(int index, const EventNet& net, PredictorMode mode, double idle_seconds) {
  const device::Room room = device::room(index);
  rest(index);  // memory is taken more quickly where nothing runs
  if (mode == PredictorMode::graph) return new Predictor(index, net, mode, idle_seconds);
  if (EventBody::bytes(net) > room.chip)
    throw Refusal{ErrorKind::Value, "the net takes " + bytes_of(EventBody::bytes(net)) +
                                        " on the chip, where a block has " + bytes_of(room.chip) +
                                        "; leave persistent off: a CUDA graph takes any net"};
  if (room.watched)
    throw Refusal{ErrorKind::Value,
                  "cuda:" + std::to_string(index) +
                      " drives a display, and a watch over it ends kernels that stay; leave persistent off"};
  const std::lock_guard lock(mutex);
  const auto here =
      std::count_if(persistent().begin(), persistent().end(), [&](auto* p) { return p->index() == index; });
  if (here >= room.seats)
    throw Refusal{ErrorKind::Runtime, std::to_string(here) +
                                          " persistent predictors are on cuda:" + std::to_string(index) +
                                          ", half of its multiprocessors; close one, or leave persistent off"};
  auto* made = new Predictor(index, net, mode, idle_seconds);
  persistent().push_back(made);
  staying++;
  return made;
}

bool run(void* predictor, const float* x, float* y, double seconds) {
  return static_cast<Predictor*>(predictor)->run(x, y, seconds);
}
void give_up(void* predictor) { static_cast<Predictor*>(predictor)->give_up(); }

void close(void* predictor) {
  auto* p = static_cast<Predictor*>(predictor);
  if (p->persistent()) {
    const std::lock_guard lock(mutex);
    auto& all = persistent();
    if (const auto found = std::find(all.begin(), all.end(), p); found != all.end()) {
      all.erase(found);
      staying--;
    }
  }
  if (!p->end())  // its memory may still be written: it is left
    throw Refusal{ErrorKind::Runtime,
                  "the device did not finish within 5 seconds; what the predictor holds there is left"};
  rest(p->index());  // giving memory back waits for all kernels of the device
  delete p;
}

void rest(int index) {
  if (staying.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(mutex);
  for (Predictor* p : persistent())
    if (p->index() == index || index == kHost) p->rest();
}

}  // namespace tg::cuda::predictors

#include "plan/planner.h"

#include <algorithm>

#include "core/memory.h"

namespace tg::plan {
namespace {

struct Life {
  int buffer;
  int first, last;  // instructions
  int64_t bytes;
};

// From the first instruction that touches each temporary to the last.
std::vector<Life> lives(const Program& p) {
  std::vector<Life> of(p.buffers.size());
  for (size_t b = 0; b < of.size(); b++) of[b] = {static_cast<int>(b), -1, -1, 0};
  for (size_t i = 0; i < p.instructions.size(); i++) {
    auto touch = [&](const View& v) {
      if (!v.defined()) return;
      Life& life = of[static_cast<size_t>(v.buffer)];
      if (life.first < 0) life.first = static_cast<int>(i);
      life.last = static_cast<int>(i);
    };
    for (const View& v : p.instructions[i].in) touch(v);
    for (const View& v : p.instructions[i].out) touch(v);
  }
  std::vector<Life> found;
  for (Life& life : of) {
    const Buffer& b = p.buffers[static_cast<size_t>(life.buffer)];
    if (b.role != Role::temporary || life.first < 0) continue;
    if (b.storage) life.first = -1;  // its bytes are put there before the first instruction
    life.bytes = static_cast<int64_t>((b.bytes + kAlignment - 1) / kAlignment * kAlignment);
    found.push_back(life);
  }
  return found;
}

}  // namespace

void plan_memory(Program& p) {
  std::vector<Life> all = lives(p);
  // The largest first, each at the lowest place that is free for all its life.
  std::stable_sort(all.begin(), all.end(), [](const Life& a, const Life& b) { return a.bytes > b.bytes; });
  std::vector<Life> placed;
  int64_t end = 0;
  for (const Life& life : all) {
    std::vector<std::pair<int64_t, int64_t>> taken;  // [from, to)
    for (const Life& other : placed)
      if (life.first <= other.last && other.first <= life.last) {
        const int64_t at = p.buffers[static_cast<size_t>(other.buffer)].place;
        taken.emplace_back(at, at + other.bytes);
      }
    std::sort(taken.begin(), taken.end());
    int64_t place = 0;
    for (const auto& [from, to] : taken) {
      if (place + life.bytes <= from) break;
      place = std::max(place, to);
    }
    p.buffers[static_cast<size_t>(life.buffer)].place = place;
    end = std::max(end, place + life.bytes);
    placed.push_back(life);
  }
  p.arena_bytes = static_cast<size_t>(end);
}

}  // namespace tg::plan

#include "plan/planner.h"

#include <algorithm>

#include "core/memory.h"
#include "plan/bundles.h"
#include "plan/nets.h"

namespace tg::plan {
namespace {

struct Life {
  int64_t* place;
  int first = -1, last = -1;  // moments
  int64_t bytes = 0;

  void touch(int from, int to) {
    if (first < 0 || from < first) first = from;
    last = std::max(last, to);
  }
};

int64_t aligned(int64_t bytes) {
  constexpr auto a = static_cast<int64_t>(kAlignment);
  return (bytes + a - 1) / a * a;
}

// The largest first, each at the lowest place that is free for all its life. Returns the end of the last.
int64_t place(std::vector<Life>& all) {
  std::stable_sort(all.begin(), all.end(), [](const Life& a, const Life& b) { return a.bytes > b.bytes; });
  int64_t end = 0;
  for (size_t k = 0; k < all.size(); k++) {
    const Life& life = all[k];
    std::vector<std::pair<int64_t, int64_t>> taken;  // [from, to)
    for (size_t j = 0; j < k; j++)
      if (life.first <= all[j].last && all[j].first <= life.last)
        taken.emplace_back(*all[j].place, *all[j].place + all[j].bytes);
    std::sort(taken.begin(), taken.end());
    int64_t at = 0;
    for (const auto& [from, to] : taken) {
      if (at + life.bytes <= from) break;
      at = std::max(at, to);
    }
    *life.place = at;
    end = std::max(end, at + life.bytes);
  }
  return end;
}

// Where an elementwise instruction is the last to see an operand, its result may take the operand's place: what follows in
// the schedule touches the other only. Per buffer the one whose place it takes, or -1.
std::vector<int> places_taken(const Program& p, const Schedule& s) {
  std::vector<int> last(p.buffers.size(), -1), takes(p.buffers.size(), -1);
  auto each = [&](auto f) {
    for (const Slot& slot : s.slots)
      for (const Scheduled& step : slot.steps) f(p.instructions[static_cast<size_t>(step.instruction)], step, slot);
  };
  each([&](const Instruction& i, const Scheduled& step, const Slot&) {
    for (const std::vector<View>* views : {&i.in, &i.out})
      for (const View& v : *views)
        if (v.defined()) last[static_cast<size_t>(v.buffer)] = step.instruction;
  });
  std::vector<bool> given(p.buffers.size(), false);  // its place is taken already
  // The buffer that the step before makes, if both are done in one go: of that alone the place can be taken, as others are
  // still read while the result is written. Where more are done in one go, none can.
  constexpr int any = -1, none = -2;
  std::vector<int> only(p.instructions.size(), any);
  for (const Slot& slot : s.slots)
    for (size_t k = 0; k < slot.steps.size(); k++)
      if (const size_t steps = bundled(p, slot, k); steps > 1) {
        const auto first = static_cast<size_t>(slot.steps[k].instruction);
        for (size_t j = 1; j < steps; j++) only[first + j] = steps == 2 ? p.instructions[first].out[0].buffer : none;
      }
  std::vector<bool> made(p.buffers.size(), false);
  each([&](const Instruction& i, const Scheduled& step, const Slot& slot) {
    const bool elementwise = i.op && (i.op->flags & kElementwise) && i.out.size() == 1 && i.out[0].defined();
    if (elementwise && !made[static_cast<size_t>(i.out[0].buffer)]) {
      const View& out = i.out[0];
      const auto to = static_cast<size_t>(out.buffer);
      auto whole = [&](const View& v) {
        const Buffer& b = p.buffers[static_cast<size_t>(v.buffer)];
        return b.role == Role::temporary && !b.storage && v.offset == 0 && v.contiguous() &&
               v.numel() * size_of(v.dtype) == static_cast<int64_t>(b.bytes);
      };
      for (const View& v : i.in) {
        if (!v.defined() || v.buffer == out.buffer || !whole(v) || !whole(out) || takes[to] >= 0) continue;
        if (const int made_before = only[static_cast<size_t>(step.instruction)];
            made_before != any && v.buffer != made_before)
          continue;
        const auto from = static_cast<size_t>(v.buffer);
        bool same_view = v.dtype == out.dtype && v.shape == out.shape;
        for (const View& w : i.in) same_view &= w.buffer != v.buffer || same(w, v);  // not read in another way as well
        if (same_view && last[from] == step.instruction && !given[from] && s.apart[from] == s.apart[to] &&
            s.block[from] == s.block[to] && (!slot.sharded || s.apart[to]) && slot.lists.empty()) {
          takes[to] = v.buffer;
          given[from] = true;
        }
      }
    }
    for (const View& v : i.out)
      if (v.defined()) made[static_cast<size_t>(v.buffer)] = true;
  });
  return takes;
}

}  // namespace

int64_t entry_bytes(const View& sum) { return aligned(sum.numel() * size_of(sum.dtype)); }

Layout plan_memory(const Program& p, const Schedule& s) {
  Layout layout;
  layout.place.assign(p.buffers.size(), -1);
  layout.sums.resize(s.slots.size());
  std::vector<Life> of(p.buffers.size());
  std::vector<Life> partial;
  int now = 0;
  for (size_t slot = 0; slot < s.slots.size(); slot++) {
    const Slot& list = s.slots[slot];
    const int first = now, last = now + static_cast<int>(list.steps.size());  // the last is the moment of the joins
    const bool by_units = list.by_units();
    for (const Scheduled& step : list.steps)
      layout.sums[slot].resize(layout.sums[slot].size() +
                               static_cast<size_t>(std::count(step.out.begin(), step.out.end(), Part::sum)));
    size_t next_sum = 0;
    int from = now, to = now - 1;  // what is done in one go is one moment
    for (size_t k = 0; k < list.steps.size(); k++) {
      const Scheduled& step = list.steps[k];
      const Instruction& i = p.instructions[static_cast<size_t>(step.instruction)];
      if (now > to) from = now, to = now - 1 + static_cast<int>(bundled(p, list, k));
      auto touch = [&](const View& v) {
        if (!v.defined()) return;
        const auto b = static_cast<size_t>(v.buffer);
        // Shards and lists do not wait for each other within a slot, and what goes by units begins again with each.
        if (list.sharded && (!s.apart[b] || (by_units && !s.block[b]))) of[b].touch(first, last);
        else if (!list.lists.empty()) of[b].touch(first, last);
        else of[b].touch(from, to);
      };
      for (const View& v : i.in) touch(v);
      for (const View& v : i.out) touch(v);
      for (size_t out = 0; out < step.out.size(); out++)
        if (step.out[out] == Part::sum)
          partial.push_back(
              {&layout.sums[slot][next_sum++], by_units ? first : from, last, list.entries * entry_bytes(i.out[out])});
      now++;
    }
    now = last + 1;
  }
  // A buffer that takes another's place lives on in it.
  const std::vector<int> takes = places_taken(p, s);
  auto home = [&](size_t b) {
    while (takes[b] >= 0) b = static_cast<size_t>(takes[b]);
    return b;
  };
  for (size_t b = 0; b < of.size(); b++)
    if (home(b) != b && of[b].first >= 0) of[home(b)].touch(of[b].first, of[b].last);
  const std::vector<bool> no_memory = unseen(p);
  std::vector<int64_t> unit_of(p.buffers.size(), 0);  // the rows of a unit
  for (const Slot& slot : s.slots)
    for (const Scheduled& step : slot.steps) {
      const Instruction& i = p.instructions[static_cast<size_t>(step.instruction)];
      for (const std::vector<View>* views : {&i.in, &i.out})
        for (const View& v : *views)
          if (v.defined() && s.block[static_cast<size_t>(v.buffer)])
            unit_of[static_cast<size_t>(v.buffer)] = slot.most_rows;
    }
  std::vector<Life> shared;
  int64_t most_rows = 1;
  for (const Rows& r : s.shards) most_rows = std::max(most_rows, r.end - r.first);
  const int64_t rows = s.shards.empty() ? 1 : s.shards.back().end;
  for (size_t b = 0; b < of.size(); b++) {
    if (p.buffers[b].role != Role::temporary || of[b].first < 0 || home(b) != b || no_memory[b]) continue;
    of[b].place = &layout.place[b];
    of[b].bytes = aligned(static_cast<int64_t>(p.buffers[b].bytes));
    if (p.buffers[b].storage) of[b].first = -1;  // its bytes are put there before the first instruction
    if (s.apart[b]) {
      of[b].bytes = aligned(static_cast<int64_t>(p.buffers[b].bytes) / rows * (s.block[b] ? unit_of[b] : most_rows));
      partial.push_back(of[b]);
    } else {
      shared.push_back(of[b]);
    }
  }
  layout.shared = place(shared);
  layout.shard = place(partial);
  for (size_t b = 0; b < of.size(); b++) layout.place[b] = layout.place[home(b)];
  return layout;
}

}  // namespace tg::plan

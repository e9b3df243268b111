#include "plan/schedule.h"

#include <algorithm>

#include "math/order.h"

namespace tg::plan {
namespace {

bool has_rows(const View& v, int64_t rows) {
  return v.defined() && v.shape.size() >= 1 && v.shape[0] == rows && v.strides[0] != 0;
}

// ---- which operands of an instruction may be cut into rows; nothing if it has to be run whole

struct Cut {
  bool possible = false;
  std::vector<Part> in, out;
};

Cut cut_of(std::initializer_list<Part> in, std::initializer_list<Part> out) { return {true, in, out}; }

Cut elementwise(const Instruction& i, int64_t rows) {
  if (!has_rows(i.out[0], rows)) return {};
  Cut c{true, {}, {Part::rows}};
  for (const View& v : i.in) {
    if (v.defined() && v.shape.size() == i.out[0].shape.size() && v.shape[0] == rows && rows > 1) {
      c.in.push_back(Part::rows);  // a stride of 0, an expanded view, is cut just as well
    } else if (!v.defined() || v.shape.size() < i.out[0].shape.size() || v.shape[0] == 1) {
      c.in.push_back(Part::whole);
    } else {
      return {};
    }
  }
  return c;
}

bool along_rows(const Instruction& i, const View& v, int attribute) {
  const int64_t dim = i.attrs.integer(attribute);
  return v.shape.size() < 2 || dim == 0 || dim == -v.shape.size();
}

Cut cut(const Instruction& i, int64_t rows) {
  if (i.is_expectation() || (i.op->flags & kUpdates)) return {};
  if (i.op->id < kPointwiseOps) return elementwise(i, rows);
  constexpr Part whole = Part::whole, by_rows = Part::rows, sum = Part::sum;
  const bool first = !i.in.empty() && has_rows(i.in[0], rows);
  switch (i.op->id) {
    case op_where:
    case op_cast:
    case op_copy_:
    case op_fill_:
    case op_masked_fill: return elementwise(i, rows);
    case op_dropout:  // the masks of a shard start at its rows
      if (first && i.in[0].contiguous()) return cut_of({by_rows}, {by_rows});
      return {};
    case op_dense:
      if (first && i.in[0].shape.size() > 1 && has_rows(i.out[0], rows))
        return cut_of({by_rows, whole, whole}, {by_rows});
      return {};
    case op_dense_grad_input:
      if (first && i.in[0].shape.size() > 1) return cut_of({by_rows, whole}, {by_rows});
      return {};
    case op_dense_grad_weight:
      if (first && i.in[0].shape.size() == 2 && has_rows(i.in[1], rows)) return cut_of({by_rows, by_rows}, {sum});
      return {};
    case op_dense_grad_bias:
      if (first && i.in[0].shape.size() == 2) return cut_of({by_rows}, {sum});
      return {};
    case op_matmul:
      if (first && i.in[0].shape.size() == 2 && i.in[1].shape.size() <= 2) return cut_of({by_rows, whole}, {by_rows});
      return {};
    case op_softmax:
    case op_log_softmax:
      if (first && !along_rows(i, i.in[0], 0)) return cut_of({by_rows}, {by_rows});
      return {};
    case op_softmax_backward:
    case op_log_softmax_backward:
      if (first && has_rows(i.in[1], rows) && !along_rows(i, i.in[0], 0)) return cut_of({by_rows, by_rows}, {by_rows});
      return {};
    case op_cross_entropy_backward:
      if (has_rows(i.in[1], rows) && has_rows(i.in[2], rows) && has_rows(i.in[3], rows))
        return cut_of({i.in[0].shape.empty() ? whole : by_rows, by_rows, by_rows, by_rows, whole, whole}, {by_rows});
      return {};
    case op_layer_norm:
      if (first && i.in[0].shape.size() > i.attrs.list.size() && has_rows(i.out[1], rows))
        return cut_of({by_rows, whole, whole}, {by_rows, by_rows, by_rows});
      return {};
    case op_layer_norm_backward:
      if (first && i.in[0].shape.size() == 2 && i.attrs.list.size() == 1)
        return cut_of({by_rows, by_rows, by_rows, by_rows, whole}, {by_rows, sum, sum});
      return {};
    default: return {};
  }
}

// ---- the order

// A buffer whose rows lie one behind the other, all of the same length, and that is seen in whole rows.
bool is_rowed(const Buffer& b, const View& v, int64_t rows) {
  if (b.bytes % static_cast<size_t>(rows)) return false;
  const int64_t pitch = static_cast<int64_t>(b.bytes) / rows / size_of(v.dtype);
  return v.strides[0] == pitch && v.offset < pitch && v.offset >= 0;
}

struct Access {
  int level = -1;       // of the last that did so
  bool in_rows = true;  // all of them by shards, each on its own rows
};

constexpr int64_t kWorthBlocks = 768 * 1024;  // bytes of a shard's rows that fit into the cache of a core anyway
constexpr int64_t kBlockBytes = 128 * 1024;   // of a block
constexpr int64_t kLeastBlock = 64;           // rows

class Scheduler {
 public:
  Scheduler(const Program& p, int64_t rows) : p_(p), rows_(rows), written_(p.buffers.size()), read_(p.buffers.size()) {}

  Schedule make(std::vector<Rows> shards) {
    Schedule s;
    s.shards = std::move(shards);
    s.apart.assign(p_.buffers.size(), true);
    for (size_t b = 0; b < p_.buffers.size(); b++)
      s.apart[b] = p_.buffers[b].role == Role::temporary && !p_.buffers[b].storage;
    for (size_t k = 0; k < p_.instructions.size(); k++) {
      const Instruction& i = p_.instructions[k];
      Cut c = cut(i, rows_);
      const int level = level_of(i, c);
      if (static_cast<size_t>(level) >= s.slots.size()) s.slots.resize(static_cast<size_t>(level) + 1);
      s.slots[static_cast<size_t>(level)].sharded = level % 2 == 1;
      touch(i, c, level, s);
      s.slots[static_cast<size_t>(level)].steps.push_back({static_cast<int>(k), std::move(c.in), std::move(c.out)});
    }
    std::erase_if(s.slots, [](const Slot& slot) { return slot.steps.empty(); });
    cut_blocks(s);
    return s;
  }

 private:
  // Slots whose rows would not stay in the cache of a core take them by blocks, unless they sum over the rows.
  void cut_blocks(Schedule& s) {
    s.block.assign(p_.buffers.size(), false);
    std::vector<int> slot_of(p_.buffers.size(), -1);  // the only one that touches it; -2: several
    auto each_view = [&](const Scheduled& step, auto f) {
      const Instruction& i = p_.instructions[static_cast<size_t>(step.instruction)];
      for (const std::vector<View>* views : {&i.in, &i.out})
        for (const View& v : *views)
          if (v.defined()) f(static_cast<size_t>(v.buffer));
    };
    for (size_t k = 0; k < s.slots.size(); k++)
      for (const Scheduled& step : s.slots[k].steps)
        each_view(step, [&](size_t b) {
          if (slot_of[b] != static_cast<int>(k)) slot_of[b] = slot_of[b] == -1 ? static_cast<int>(k) : -2;
        });
    int64_t most_rows = 0;
    for (const Rows& r : s.shards) most_rows = std::max(most_rows, r.end - r.first);
    for (size_t k = 0; k < s.slots.size(); k++) {
      Slot& slot = s.slots[k];
      bool possible = slot.sharded && slot.steps.size() > 1;
      std::vector<bool> counted(p_.buffers.size(), false);
      int64_t row_bytes = 0, shared_bytes = 0;  // of the weights, which every block reads anew
      for (const Scheduled& step : slot.steps) {
        for (const Part part : step.out) possible &= part != Part::sum;
        const Instruction& i = p_.instructions[static_cast<size_t>(step.instruction)];
        for (size_t j = 0; j < step.in.size(); j++)
          if (step.in[j] == Part::whole && i.in[j].defined()) shared_bytes += i.in[j].numel() * size_of(i.in[j].dtype);
        each_view(step, [&](size_t b) {
          const size_t bytes = p_.buffers[b].bytes;
          if (counted[b] || bytes % static_cast<size_t>(rows_)) return;
          counted[b] = true;
          row_bytes += static_cast<int64_t>(bytes) / rows_;
        });
      }
      if (!possible || shared_bytes > kBlockBytes || row_bytes * most_rows < kWorthBlocks) continue;
      slot.block = std::max<int64_t>(kLeastBlock, kBlockBytes / row_bytes / kLeastBlock * kLeastBlock);
      for (size_t b = 0; b < s.block.size(); b++) s.block[b] = s.apart[b] && slot_of[b] == static_cast<int>(k);
    }
  }

  // The first level at which all that it depends on is there. Levels that are odd are sharded.
  int level_of(const Instruction& i, const Cut& c) {
    int level = c.possible ? 1 : 0;
    auto after = [&](const Access& a, bool rows) {
      if (a.level < 0) return;
      // Row by row after row by row it goes on in the same slot: the shard's own rows.
      const bool same = a.level % 2 == 1 ? c.possible && rows && a.in_rows : !c.possible;
      int least = same ? a.level : a.level + 1;
      if (least % 2 != (c.possible ? 1 : 0)) least++;
      level = std::max(level, least);
    };
    each(i, c, [&](const View& v, bool rows, bool, bool writes) {
      const auto b = static_cast<size_t>(v.buffer);
      after(written_[b], rows);
      if (writes) after(read_[b], rows);
    });
    return level;
  }

  // f(view, is it only the shard's own rows of the buffer?, read?, written?)
  template <class F>
  void each(const Instruction& i, const Cut& c, F f) {
    auto own = [&](const View& v, const std::vector<Part>& parts, size_t k) {
      return c.possible && parts[k] == Part::rows && is_rowed(p_.buffers[static_cast<size_t>(v.buffer)], v, rows_);
    };
    for (size_t k = 0; k < i.in.size(); k++)
      if (i.in[k].defined()) f(i.in[k], own(i.in[k], c.in, k), true, i.overwrites[k]);
    for (size_t k = 0; k < i.out.size(); k++)
      if (i.out[k].defined()) f(i.out[k], own(i.out[k], c.out, k), false, true);
  }

  void touch(const Instruction& i, const Cut& c, int level, Schedule& s) {
    each(i, c, [&](const View& v, bool rows, bool reads, bool writes) {
      const auto b = static_cast<size_t>(v.buffer);
      auto mark = [&](Access& a) {
        if (level > a.level) a = {level, rows};
        else a.in_rows &= rows;
      };
      if (writes) mark(written_[b]);
      if (reads) mark(read_[b]);
      if (!rows) s.apart[b] = false;
    });
  }

  const Program& p_;
  int64_t rows_;
  std::vector<Access> written_, read_;
};

Schedule in_order(const Program& p) {
  Schedule s;
  s.apart.assign(p.buffers.size(), false);
  s.block.assign(p.buffers.size(), false);
  s.slots.resize(1);
  for (size_t k = 0; k < p.instructions.size(); k++) s.slots[0].steps.push_back({static_cast<int>(k), {}, {}});
  return s;
}

// ---- where the rows are cut

// The rows before the root of the tree is cut: the largest power of two of shards that is less than all.
int64_t left_rows(int64_t rows, int64_t shard) {
  int64_t left = 1;
  while (left * 2 * shard < rows) left *= 2;
  return left * shard;
}

// Cuts the largest of the parts until there are as many as threads.
void cut_rows(int64_t rows, int threads, Schedule& s) {
  const int64_t shard = shard_rows(rows);
  std::vector<Rows> parts{{0, rows}};
  while (static_cast<int>(parts.size()) < threads) {
    size_t most = 0;
    for (size_t k = 1; k < parts.size(); k++)
      if (parts[k].end - parts[k].first > parts[most].end - parts[most].first) most = k;
    const Rows part = parts[most];
    if (part.end - part.first <= shard) break;
    const int64_t middle = part.first + left_rows(part.end - part.first, shard);
    parts[most].end = middle;
    parts.insert(parts.begin() + static_cast<std::ptrdiff_t>(most) + 1, {middle, part.end});
  }
  s.shards = parts;
}

// The joins of the parts from `lo` to `hi`, which are a subtree: as the tree cuts the rows.
void join(const std::vector<Rows>& parts, size_t lo, size_t hi, int64_t shard, std::vector<Join>& joins) {
  if (hi - lo < 2) return;
  const int64_t middle = parts[lo].first + left_rows(parts[hi - 1].end - parts[lo].first, shard);
  size_t at = lo + 1;
  while (parts[at].first < middle) at++;
  join(parts, lo, at, shard, joins);
  join(parts, at, hi, shard, joins);
  joins.push_back({static_cast<int>(lo), static_cast<int>(at)});
}

// ---- does it pay?

// A guess of the nanoseconds of an instruction on one thread.
double nanoseconds(const Program& p, const Instruction& i) {
  const double flops = p.flops(i), bytes = static_cast<double>(p.bytes(i));
  return 60 + std::max(flops / 150, bytes / 100);
}

constexpr double kMeeting = 700;         // ns: a fork and a join, and waiting for the slower shard
constexpr double kJoinBandwidth = 20;    // bytes per ns of the sums that are joined
constexpr double kInCache = 0.8;         // of the time, where blocks of rows stay in the cache
constexpr double kMoveBandwidth = 10;    // bytes per ns from the cache of one thread to that of another
constexpr double kWorthThreads = 15000;  // ns: kernels share out among threads what takes longer
constexpr double kShared = 0.85;         // of the speed of all threads, which they then reach

// Shards against layers that are shared out one by one, each by its own tiles. Small layers are not worth that, and
// shards win; large ones with few rows lose more by joining gradients of weights than by meeting after every layer.
bool pays(const Program& p, const Schedule& s, int threads) {
  if (s.shards.size() < 2)
    return std::any_of(s.slots.begin(), s.slots.end(), [](const Slot& slot) { return slot.block > 0; });
  const double largest =
      static_cast<double>(s.shards[0].end - s.shards[0].first) / static_cast<double>(s.shards.back().end);
  double by_layers = 0, by_shards = 0;
  std::vector<int> maker(p.buffers.size(), -1);    // of what is in a buffer: 1 shards, 0 one thread, -1 nobody yet
  auto moved = [&](const View& v, bool sharded) {  // between threads
    if (!v.defined()) return 0.0;
    const int by = maker[static_cast<size_t>(v.buffer)];
    if (by < 0 || by == static_cast<int>(sharded)) return 0.0;
    return static_cast<double>(v.numel() * size_of(v.dtype)) * (1 - largest) / kMoveBandwidth;
  };
  for (const Slot& slot : s.slots) {
    if (slot.sharded) by_shards += kMeeting;
    for (const Scheduled& step : slot.steps) {
      const Instruction& i = p.instructions[static_cast<size_t>(step.instruction)];
      const double alone = nanoseconds(p, i);
      const double layer = alone > kWorthThreads ? alone / (kShared * threads) + kMeeting : alone;
      by_layers += layer;
      by_shards += slot.sharded ? alone * largest * (slot.block ? kInCache : 1.0) : layer;
      for (const View& v : i.in) by_shards += moved(v, slot.sharded);
      for (const View& v : i.out)
        if (v.defined()) maker[static_cast<size_t>(v.buffer)] = slot.sharded;
      for (size_t k = 0; k < step.out.size(); k++)
        if (step.out[k] == Part::sum)
          by_shards += 60 + static_cast<double>(3 * i.out[k].numel() * size_of(i.out[k].dtype)) / kJoinBandwidth;
    }
  }
  return by_shards < 0.95 * by_layers;
}

}  // namespace

std::vector<int> Schedule::at_risk(const Program& p) const {
  // A slot is one moment: its shards do not wait for each other.
  std::vector<int> moment(p.instructions.size());
  int now = 0, last = -1;
  for (const Slot& slot : slots)
    for (const Scheduled& s : slot.steps) {
      if (!slot.sharded || &s == &slot.steps.front()) now++;
      moment[static_cast<size_t>(s.instruction)] = now;
      if (p.instructions[static_cast<size_t>(s.instruction)].may_refuse()) last = slot.sharded ? now + 1 : now;
    }
  std::vector<int> found;
  for (size_t b = 0; b < p.buffers.size(); b++) {
    // Of the results, gradients take the memory of those of the call before.
    const Role role = p.buffers[b].role;
    if (role != Role::state && role != Role::input && role != Role::output) continue;
    for (size_t i = 0; i < p.instructions.size(); i++)
      if (moment[i] < last && p.instructions[i].writes(static_cast<int>(b))) {
        found.push_back(static_cast<int>(b));
        break;
      }
  }
  return found;
}

Schedule make_schedule(const Program& p, int threads) {
  const int64_t rows = p.inputs.empty() || p.inputs[0].shape.empty() ? 0 : p.inputs[0].shape[0];
  if (rows < 2) return in_order(p);
  bool sums = false;
  for (const Instruction& i : p.instructions) {
    const Cut c = cut(i, rows);
    sums |= std::find(c.out.begin(), c.out.end(), Part::sum) != c.out.end();
  }
  Schedule cuts;
  if (sums) {
    cut_rows(rows, threads, cuts);
    for (const Rows& r : cuts.shards)  // each part has to add as the whole does
      if (shard_rows(r.end - r.first) != shard_rows(rows)) return in_order(p);
  } else {
    const int64_t each = ((rows + threads - 1) / threads + kLeastBlock - 1) / kLeastBlock * kLeastBlock;
    for (int64_t first = 0; first < rows; first += each) cuts.shards.push_back({first, std::min(rows, first + each)});
  }
  Schedule s = Scheduler(p, rows).make(cuts.shards);
  if (sums) join(cuts.shards, 0, cuts.shards.size(), shard_rows(rows), s.joins);
  return pays(p, s, threads) ? s : in_order(p);
}

}  // namespace tg::plan

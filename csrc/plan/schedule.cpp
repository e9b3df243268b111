#include "plan/schedule.h"

#include <algorithm>

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
    case op_cross_entropy:  // the losses of the rows
      if (first && has_rows(i.out[0], rows) && !i.out[2].defined())
        return cut_of({by_rows, by_rows, whole}, {by_rows, by_rows, whole});
      return {};
    case op_bce_with_logits: return elementwise(i, rows);
    case op_bce_with_logits_backward: return elementwise(i, rows);
    case op_cross_entropy_backward:
      if (has_rows(i.in[1], rows) && has_rows(i.in[2], rows) && has_rows(i.in[3], rows))
        return cut_of({i.in[0].shape.empty() ? whole : by_rows, by_rows, by_rows, by_rows, whole, whole}, {by_rows});
      return {};
    case op_sum:
      if (first && i.in[0].shape.size() > 1 && i.attrs.has(0) && i.attrs.list == Dims{0} && is_floating(i.in[0].dtype))
        return cut_of({by_rows}, {sum});
      return {};
    case op_channel_squares: return first ? cut_of({by_rows, whole}, {sum}) : Cut{};
    case op_channel_dot: return first ? cut_of({by_rows, by_rows, whole}, {sum}) : Cut{};
    case op_channel_affine: return first ? cut_of({by_rows, whole}, {by_rows}) : Cut{};
    case op_channel_backward: return first ? cut_of({by_rows, by_rows, whole, whole}, {by_rows}) : Cut{};
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

constexpr int64_t kWorthUnits = 768 * 1024;    // bytes of a shard's rows that fit into the cache of a core anyway
constexpr int64_t kUnitBytes = 128 * 1024;     // of a unit, where nothing is summed
constexpr int64_t kSumUnitBytes = 384 * 1024;  // and where each unit leaves sums that are to be joined
constexpr int64_t kMostShared = 128 * 1024;    // bytes of the weights, which every unit reads anew
constexpr int64_t kLeastRows = 64;             // of a unit or a shard, where nothing is summed

class Scheduler {
 public:
  Scheduler(const Program& p, int64_t rows)
      : p_(p), tree_(rows), rows_(rows), written_(p.buffers.size()), read_(p.buffers.size()) {}

  Schedule make(std::vector<Rows> shards) {
    Schedule s;
    s.rows = rows_;
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
    s.block.assign(p_.buffers.size(), false);
    for (size_t k = 0; k < s.slots.size(); k++)
      if (s.slots[k].sharded) cut_units(s, k);
    return s;
  }

 private:
  template <class F>
  void each_buffer(const Scheduled& step, F f) const {
    const Instruction& i = p_.instructions[static_cast<size_t>(step.instruction)];
    for (const std::vector<View>* views : {&i.in, &i.out})
      for (const View& v : *views)
        if (v.defined()) f(static_cast<size_t>(v.buffer));
  }

  // Rows of a unit, a power of two of leaves of the tree; 0: a shard's rows stay in the cache all at once.
  int64_t unit_rows(const Schedule& s, const Slot& slot) const {
    if (slot.steps.size() < 2) return 0;
    int64_t most_rows = 0;
    for (const Rows& r : s.shards) most_rows = std::max(most_rows, r.count());
    std::vector<bool> counted(p_.buffers.size(), false);
    int64_t row_bytes = 0, shared_bytes = 0;
    bool sums = false;
    for (const Scheduled& step : slot.steps) {
      const Instruction& i = p_.instructions[static_cast<size_t>(step.instruction)];
      for (const Part part : step.out) sums |= part == Part::sum;
      for (size_t j = 0; j < step.in.size(); j++)
        if (step.in[j] == Part::whole && i.in[j].defined()) shared_bytes += i.in[j].numel() * size_of(i.in[j].dtype);
      each_buffer(step, [&](size_t b) {
        const size_t bytes = p_.buffers[b].bytes;
        if (counted[b] || bytes % static_cast<size_t>(rows_)) return;
        counted[b] = true;
        row_bytes += static_cast<int64_t>(bytes) / rows_;
      });
    }
    if (shared_bytes > kMostShared * (sums ? 2 : 1) || row_bytes * most_rows < kWorthUnits) return 0;
    const int64_t leaf = sums ? tree_.shard() : kLeastRows, wanted = (sums ? kSumUnitBytes : kUnitBytes) / row_bytes;
    int64_t rows = leaf;
    while (rows * 2 <= wanted) rows *= 2;
    return rows < most_rows ? rows : 0;
  }

  void cut_units(Schedule& s, size_t slot_number) const {
    Slot& slot = s.slots[slot_number];
    const int64_t rows = unit_rows(s, slot);
    bool sums = false;
    for (const Scheduled& step : slot.steps)
      for (const Part part : step.out) sums |= part == Part::sum;
    struct Entry {
      int shard, entry;
      Rows rows;
    };
    std::vector<Entry> left;  // what the shards' stacks hold at the end
    auto merge = [&](std::vector<Entry>& stack) {
      if (stack.size() < 2 || !tree_.halves(stack[stack.size() - 2].rows, stack.back().rows)) return false;
      stack[stack.size() - 2].rows.end = stack.back().rows.end;
      stack.pop_back();
      return true;
    };
    for (size_t shard = 0; shard < s.shards.size(); shard++) {
      const Rows all = s.shards[shard];
      std::vector<Entry> stack;
      std::vector<Unit>& units = slot.units.emplace_back();
      for (int64_t first = all.first; first < all.end;) {
        const int64_t end = rows ? std::min(all.end, (first / rows + 1) * rows) : all.end;
        Unit& unit = units.emplace_back(Unit{{first, end}, {}});
        slot.most_rows = std::max(slot.most_rows, end - first);
        for (const Rows& piece : sums ? tree_.subtrees(unit.rows) : std::vector<Rows>{}) {
          const int entry = static_cast<int>(stack.size());
          slot.entries = std::max(slot.entries, entry + 1);
          stack.push_back({static_cast<int>(shard), entry, piece});
          int merges = 0;
          while (merge(stack)) merges++;
          unit.pieces.push_back({piece, entry, merges});
        }
        first = end;
      }
      left.insert(left.end(), stack.begin(), stack.end());
    }
    std::vector<Entry> joined;
    for (const Entry& e : left) {
      joined.push_back(e);
      for (Entry top = e; merge(joined); top = joined.back())
        slot.joins.push_back({joined.back().shard, joined.back().entry, top.shard, top.entry});
    }
    if (!slot.by_units()) return;
    std::vector<bool> elsewhere(p_.buffers.size(), false);
    for (size_t k = 0; k < s.slots.size(); k++)
      for (const Scheduled& step : s.slots[k].steps)
        if (k != slot_number) each_buffer(step, [&](size_t b) { elsewhere[b] = true; });
    for (const Scheduled& step : slot.steps)
      each_buffer(step, [&](size_t b) { s.block[b] = s.apart[b] && !elsewhere[b]; });
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
  RowTree tree_;
  int64_t rows_;
  std::vector<Access> written_, read_;
};

// Where the rows are cut: as evenly as leaves allow.
std::vector<Rows> cut_rows(int64_t rows, int threads, int64_t leaf) {
  std::vector<Rows> shards;
  int64_t first = 0;
  for (int k = 1; k <= threads && first < rows; k++) {
    const int64_t end = k == threads ? rows : std::min(rows, (rows * k / threads + leaf / 2) / leaf * leaf);
    if (end > first) shards.push_back({first, end});
    first = std::max(first, end);
  }
  return shards;
}

// ---- does it pay?

// A guess of the nanoseconds of an instruction on one thread.
double nanoseconds(const Program& p, const Instruction& i) {
  const double flops = p.flops(i), bytes = static_cast<double>(p.bytes(i));
  return 60 + std::max(flops / 150, bytes / 100);
}

constexpr double kMeeting = 700;         // ns: a fork and a join, and waiting for the slower shard
constexpr double kJoinBandwidth = 20;    // bytes per ns of the sums that are joined
constexpr double kInCache = 0.8;         // of the time, where units stay in the cache
constexpr double kMoveBandwidth = 10;    // bytes per ns from the cache of one thread to that of another
constexpr double kWorthThreads = 15000;  // ns: kernels share out among threads what takes longer
constexpr double kShared = 0.85;         // of the speed of all threads, which they then reach

// Shards against layers that are shared out one by one, each by its own tiles. Small layers are not worth that, and
// shards win; large ones with few rows lose more by joining gradients of weights than by meeting after every layer.
bool pays(const Program& p, const Schedule& s, int threads) {
  if (s.shards.size() < 2)
    return std::any_of(s.slots.begin(), s.slots.end(), [](const Slot& slot) { return slot.by_units(); });
  int64_t most_rows = 0;
  for (const Rows& r : s.shards) most_rows = std::max(most_rows, r.count());
  const double largest = static_cast<double>(most_rows) / static_cast<double>(s.rows);
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
      by_shards += slot.sharded ? alone * largest * (slot.by_units() ? kInCache : 1.0) : layer;
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

// ---- what follows the shards: joins, optimizers

constexpr double kWorthSharing = 1200;  // ns: what is worth a meeting

// Shares out the joins after slot `before` and the steps of the slot that follows it among threads.
void share_out(const Program& p, Schedule& s, size_t before, int threads) {
  struct Item {
    Task task;
    double cost;
    size_t group;
  };
  const Slot& made = s.slots[before];
  Slot& slot = s.slots[before + 1];
  std::vector<Item> items;
  // Items that touch the same buffer, one of them writing, belong together: the lowest number of such an item.
  std::vector<std::vector<size_t>> writes(p.buffers.size()), touches(p.buffers.size());
  for (size_t k = 0; k < made.steps.size(); k++)
    for (size_t out = 0; out < made.steps[k].out.size(); out++) {
      if (made.steps[k].out[out] != Part::sum || made.joins.empty()) continue;
      const View& v = p.instructions[static_cast<size_t>(made.steps[k].instruction)].out[out];
      writes[static_cast<size_t>(v.buffer)].push_back(items.size());
      touches[static_cast<size_t>(v.buffer)].push_back(items.size());
      const double bytes = static_cast<double>(3 * v.numel() * size_of(v.dtype));
      items.push_back({{true, k, out}, static_cast<double>(made.joins.size()) * (60 + bytes / kJoinBandwidth), 0});
    }
  for (size_t k = 0; k < slot.steps.size(); k++) {
    const Instruction& i = p.instructions[static_cast<size_t>(slot.steps[k].instruction)];
    const double cost = nanoseconds(p, i);
    if (i.may_refuse() || cost > kWorthThreads) return;
    for (const std::vector<View>* views : {&i.in, &i.out})
      for (const View& v : *views) {
        if (!v.defined()) continue;
        touches[static_cast<size_t>(v.buffer)].push_back(items.size());
        if (i.writes(v.buffer)) writes[static_cast<size_t>(v.buffer)].push_back(items.size());
      }
    items.push_back({{false, k, 0}, cost, 0});
  }
  for (size_t k = 0; k < items.size(); k++) items[k].group = k;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = 0; b < touches.size(); b++) {
      if (writes[b].empty()) continue;
      size_t least = items.size();
      for (const size_t k : touches[b]) least = std::min(least, items[k].group);
      for (const size_t k : touches[b])
        if (items[k].group != least) items[k].group = least, changed = true;
    }
  }
  std::vector<double> cost(items.size(), 0);
  double all = 0;
  for (const Item& item : items) cost[item.group] += item.cost, all += item.cost;
  std::vector<size_t> order(items.size());
  for (size_t k = 0; k < order.size(); k++) order[k] = k;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return cost[a] > cost[b]; });
  std::vector<size_t> list_of(items.size());
  std::vector<double> busy(static_cast<size_t>(threads), 0);
  for (const size_t group : order) {
    list_of[group] = static_cast<size_t>(std::min_element(busy.begin(), busy.end()) - busy.begin());
    busy[list_of[group]] += cost[group];
  }
  if (all - *std::max_element(busy.begin(), busy.end()) < kWorthSharing / 2) return;
  slot.lists.resize(busy.size());
  for (const Item& item : items) slot.lists[list_of[item.group]].push_back(item.task);
  std::erase_if(slot.lists, [](const std::vector<Task>& list) { return list.empty(); });
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

Schedule in_order(const Program& p) {
  Schedule s;
  s.apart.assign(p.buffers.size(), false);
  s.block.assign(p.buffers.size(), false);
  s.slots.resize(1);
  for (size_t k = 0; k < p.instructions.size(); k++) s.slots[0].steps.push_back({static_cast<int>(k), {}, {}});
  return s;
}

int64_t batch_rows(const Program& p) {
  return p.inputs.empty() || p.inputs[0].shape.empty() ? 0 : p.inputs[0].shape[0];
}

bool Slot::by_units() const {
  return std::any_of(units.begin(), units.end(), [](const std::vector<Unit>& of) { return of.size() > 1; });
}

Schedule make_schedule(const Program& p, int threads) {
  const int64_t rows = batch_rows(p);
  if (rows < 2) return in_order(p);
  bool sums = false;
  for (const Instruction& i : p.instructions) {
    const Cut c = cut(i, rows);
    sums |= std::find(c.out.begin(), c.out.end(), Part::sum) != c.out.end();
  }
  Schedule s = Scheduler(p, rows).make(cut_rows(rows, threads, sums ? RowTree(rows).shard() : kLeastRows));
  if (!pays(p, s, threads)) return in_order(p);
  for (size_t k = 0; k + 1 < s.slots.size() && s.shards.size() > 1; k++)
    if (s.slots[k].sharded && !s.slots[k + 1].sharded) share_out(p, s, k, threads);
  return s;
}

}  // namespace tg::plan

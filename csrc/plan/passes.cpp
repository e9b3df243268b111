#include "plan/passes.h"

#include <algorithm>

#include "plan/bundles.h"

namespace tg::plan {
namespace {

// The instructions that touch a buffer, in order.
struct Uses {
  std::vector<int> reads, writes;
};

std::vector<Uses> uses_of(const Program& p) {
  std::vector<Uses> uses(p.buffers.size());
  auto add = [](std::vector<int>& list, size_t k) {
    if (list.empty() || list.back() != static_cast<int>(k)) list.push_back(static_cast<int>(k));
  };
  for (size_t k = 0; k < p.instructions.size(); k++) {
    const Instruction& i = p.instructions[k];
    for (size_t j = 0; j < i.in.size(); j++) {
      if (!i.in[j].defined()) continue;
      const auto b = static_cast<size_t>(i.in[j].buffer);
      if (!i.overwrites[j] || reads_overwritten(*i.op)) add(uses[b].reads, k);
      if (i.overwrites[j]) add(uses[b].writes, k);
    }
    for (const View& v : i.out)
      if (v.defined()) add(uses[static_cast<size_t>(v.buffer)].writes, k);
  }
  return uses;
}

void erase(Program& p, const std::vector<bool>& gone) {
  std::vector<Instruction> kept;
  for (size_t k = 0; k < p.instructions.size(); k++)
    if (!gone[k]) kept.push_back(std::move(p.instructions[k]));
  p.instructions = std::move(kept);
}

// A temporary that one instruction makes whole, and nothing changes afterwards.
bool made_once(const Program& p, const Uses& uses, const View& v) {
  const Buffer& b = p.buffers[static_cast<size_t>(v.buffer)];
  return b.role == Role::temporary && !b.storage && uses.writes.size() == 1;
}

bool same(const Attrs& a, const Attrs& b) {
  if (a.n != b.n || !(a.list == b.list)) return false;
  for (int k = 0; k < a.n; k++) {
    const Attr &x = a.values[k], &y = b.values[k];
    if (x.kind != y.kind) return false;
    if (x.kind != Attr::Kind::None && x.kind != Attr::Kind::List && x.i != y.i) return false;  // reals by their bits
  }
  return true;
}

}  // namespace

void fuse_activations(Program& p) {
  const std::vector<Uses> uses = uses_of(p);
  std::vector<bool> gone(p.instructions.size(), false);
  for (size_t k = 0; k < p.instructions.size(); k++) {
    Instruction& layer = p.instructions[k];
    if (layer.is_expectation() || layer.op->id != op_dense || std::string_view(layer.attrs.text(0)) != "identity")
      continue;
    const View before = layer.out[0];
    const Uses& of = uses[static_cast<size_t>(before.buffer)];
    if (!made_once(p, of, before) || of.reads.size() != 1) continue;
    const auto at = static_cast<size_t>(of.reads[0]);
    const Instruction& activation = p.instructions[at];
    if (activation.is_expectation() || activation.op->id >= kPointwiseOps || activation.in.size() != 1 ||
        activation.attrs.n > 2 || !plan::same(activation.in[0], before))
      continue;
    const View after = activation.out[0];
    if (after.buffer == before.buffer || after.dtype != before.dtype || !after.contiguous() || after.offset) continue;
    const Uses& later = uses[static_cast<size_t>(after.buffer)];
    const Role role = p.buffers[static_cast<size_t>(after.buffer)].role;
    if ((role != Role::temporary && role != Role::output) || later.writes.front() != static_cast<int>(at) ||
        p.buffers[static_cast<size_t>(after.buffer)].storage)
      continue;
    layer.attrs.values[0] = Attr::word(activation.op->name.c_str());
    for (int j = 0; j < activation.attrs.n; j++)
      layer.attrs.values[1 + j] =
          activation.attrs.has(j) ? Attr::real(activation.attrs.real(j)) : activation.attrs.values[j];
    layer.out[0] = after;
    gone[at] = true;
  }
  erase(p, gone);
}

void share_common(Program& p) {
  const std::vector<Uses> uses = uses_of(p);
  std::vector<bool> gone(p.instructions.size(), false);
  std::vector<int> instead(p.buffers.size(), -1);  // the buffer that holds the same
  auto rename = [&](View& v) {
    if (v.defined() && instead[static_cast<size_t>(v.buffer)] >= 0) v.buffer = instead[static_cast<size_t>(v.buffer)];
  };
  auto shareable = [&](const Instruction& i) {
    if (i.is_expectation() || (i.op->flags & kUpdates) || i.out.empty()) return false;
    for (const bool o : i.overwrites)
      if (o) return false;
    for (const View& v : i.out)
      if (!v.defined() || !made_once(p, uses[static_cast<size_t>(v.buffer)], v)) return false;
    return true;
  };
  for (size_t k = 0; k < p.instructions.size(); k++) {
    Instruction& later = p.instructions[k];
    for (View& v : later.in) rename(v);
    if (!shareable(later)) continue;
    for (size_t j = 0; j < k; j++) {
      const Instruction& earlier = p.instructions[j];
      if (gone[j] || earlier.op != later.op || earlier.live != later.live || !same(earlier.attrs, later.attrs) ||
          !shareable(earlier) || earlier.in.size() != later.in.size())
        continue;
      bool equal = true;
      for (size_t n = 0; n < later.in.size() && equal; n++) {
        equal = plan::same(earlier.in[n], later.in[n]);
        if (!equal || !later.in[n].defined()) continue;
        for (const int write : uses[static_cast<size_t>(later.in[n].buffer)].writes)
          equal &= write < static_cast<int>(j) || write > static_cast<int>(k);
      }
      if (!equal) continue;
      for (size_t n = 0; n < later.out.size(); n++)
        instead[static_cast<size_t>(later.out[n].buffer)] = earlier.out[n].buffer;
      gone[k] = true;
      break;
    }
  }
  erase(p, gone);
}

void drop_dead(Program& p) {
  std::vector<bool> wanted(p.buffers.size());
  for (size_t b = 0; b < p.buffers.size(); b++) wanted[b] = p.buffers[b].role != Role::temporary;
  std::vector<bool> gone(p.instructions.size(), true);
  for (size_t k = p.instructions.size(); k-- > 0;) {
    const Instruction& i = p.instructions[k];
    bool keep = i.may_refuse();
    for (size_t b = 0; b < p.buffers.size() && !keep; b++) keep = wanted[b] && i.writes(static_cast<int>(b));
    if (!keep) continue;
    gone[k] = false;
    for (const View& v : i.in)
      if (v.defined()) wanted[static_cast<size_t>(v.buffer)] = true;
  }
  erase(p, gone);
}

void optimise(Program& p) {
  share_common(p);
  drop_dead(p);
  fuse_activations(p);
  bundle(p);
}

}  // namespace tg::plan

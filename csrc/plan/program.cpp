#include "plan/program.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

namespace tg::plan {

const char* name(Role role) {
  switch (role) {
    case Role::input: return "input";
    case Role::state: return "state";
    case Role::constant: return "constant";
    case Role::temporary: return "temporary";
    case Role::output: return "output";
  }
  return "";
}

int64_t View::numel() const {
  int64_t n = 1;
  for (int64_t length : shape) n *= length;
  return n;
}

bool View::contiguous() const {
  int64_t step = 1;
  for (int i = shape.size() - 1; i >= 0; i--) {
    if (shape[i] != 1 && strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

bool same(const View& a, const View& b) {
  if (a.buffer != b.buffer || a.offset != b.offset || a.dtype != b.dtype || !(a.shape == b.shape)) return false;
  for (int i = 0; i < a.shape.size(); i++)
    if (a.shape[i] > 1 && a.strides[i] != b.strides[i]) return false;
  return true;
}

bool reads_overwritten(const Op& op) { return op.id != op_copy_ && op.id != op_fill_; }

bool Instruction::writes(int buffer) const {
  for (const View& v : out)
    if (v.buffer == buffer) return true;
  for (size_t i = 0; i < in.size(); i++)
    if (overwrites[i] && in[i].buffer == buffer) return true;
  return false;
}

bool Instruction::reads(int buffer) const {
  for (size_t i = 0; i < in.size(); i++)
    if (in[i].buffer == buffer && (!overwrites[i] || reads_overwritten(*op))) return true;
  return false;
}

double Program::flops(const Instruction& i) const {
  const auto rows = [](const View& v) {
    return v.shape.empty() ? 1.0
                           : static_cast<double>(v.numel()) / static_cast<double>(std::max<int64_t>(v.shape.back(), 1));
  };
  if (i.is_expectation()) return 0;
  switch (i.op->id) {
    case op_dense:
    case op_dense_grad_input: return 2 * rows(i.in[0]) * static_cast<double>(i.in[1].numel());
    case op_dense_grad_weight: return 2 * rows(i.in[0]) * static_cast<double>(i.out[0].numel());
    case op_matmul:
      return 2 * static_cast<double>(i.out[0].numel()) *
             static_cast<double>(i.in[0].shape.empty() ? 1 : i.in[0].shape.back());
    default: break;
  }
  int64_t most = 0;
  for (const View& v : i.out) most = std::max(most, v.defined() ? v.numel() : 0);
  for (const View& v : i.in) most = std::max(most, v.defined() ? v.numel() : 0);
  if (i.op->flags & kUpdates) {
    most = 0;
    for (size_t k = 0; k < i.in.size(); k++) most += i.in[k].numel();
  }
  return static_cast<double>(most);
}

int64_t Program::bytes(const Instruction& i) const {
  int64_t total = 0;
  for (size_t k = 0; k < i.in.size(); k++)
    if (i.in[k].defined()) total += i.in[k].numel() * size_of(i.in[k].dtype) * (i.overwrites[k] ? 2 : 1);
  for (const View& v : i.out)
    if (v.defined()) {
      bool counted = false;
      for (const View& w : i.in) counted |= same(v, w);
      if (!counted) total += v.numel() * size_of(v.dtype);
    }
  return total;
}

namespace {

std::string in_words(const Attr& a, const Dims& list) {
  std::ostringstream s;
  switch (a.kind) {
    case Attr::Kind::Int: s << a.i; break;
    case Attr::Kind::Float: s << a.f; break;
    case Attr::Kind::Bool: s << (a.i ? "True" : "False"); break;
    case Attr::Kind::Type: s << name(static_cast<Dtype>(a.i)); break;
    case Attr::Kind::Text: s << "'" << a.text << "'"; break;
    case Attr::Kind::List: s << list; break;
    case Attr::Kind::None: s << "None"; break;
  }
  return s.str();
}

std::string in_words(const Program& p, const View& v) {
  if (!v.defined()) return "-";
  static constexpr const char* letters[] = {"i", "s", "c", "t", "o"};
  std::ostringstream s;
  s << letters[static_cast<int>(p.buffers[static_cast<size_t>(v.buffer)].role)] << v.buffer << v.shape;
  if (!v.contiguous() || v.offset) s << "@" << v.offset << v.strides;
  return s.str();
}

}  // namespace

std::string Program::text() const {
  std::ostringstream s;
  double all_flops = 0;
  int64_t all_bytes = 0;
  size_t state_bytes = 0;
  for (const Buffer& b : buffers)
    if (b.role == Role::state) state_bytes += b.bytes;
  for (size_t k = 0; k < instructions.size(); k++) {
    const Instruction& i = instructions[k];
    all_flops += flops(i);
    all_bytes += bytes(i);
    const bool joins = k && instructions[k - 1].together != Together::alone;  // done in one go with the one before
    s << std::setw(4) << k << (joins ? " +" : "  ");
    if (i.is_expectation()) {
      s << "expect " << i.attrs.real(0) << " <= " << in_words(*this, i.in[0]) << " <= " << i.attrs.real(1) << "\n";
      continue;
    }
    for (size_t j = 0; j < i.out.size(); j++) s << (j ? ", " : "") << in_words(*this, i.out[j]);
    if (!i.out.empty()) s << " = ";
    s << i.op->name << "(";
    const bool many = i.in.size() > 8;
    for (size_t j = 0; j < (many ? 3 : i.in.size()); j++) s << (j ? ", " : "") << in_words(*this, i.in[j]);
    if (many) s << ", … " << i.in.size() << " tensors";
    for (int j = 0; j < i.attrs.n; j++) {
      const Param& p = i.op->attribute(j);
      if (i.attrs.values[j].kind == Attr::Kind::None && p.nullable) continue;
      s << (j || !i.in.empty() ? ", " : "") << p.name << "=" << in_words(i.attrs.values[j], i.attrs.list);
    }
    s << ")";
    if (i.live >= 0) s << "  live";
    s << "  # " << bytes(i) << " B, " << flops(i) << " FLOP\n";
  }
  std::ostringstream head;
  head << instructions.size() << " instructions, " << all_flops << " FLOP, " << all_bytes << " B moved; state "
       << state_bytes << " B\ninputs";
  for (const View& v : inputs) head << " " << in_words(*this, v) << " " << tg::name(v.dtype);
  head << "\noutputs";
  for (const View& v : outputs) head << " " << in_words(*this, v);
  return head.str() + "\n" + s.str();
}

}  // namespace tg::plan

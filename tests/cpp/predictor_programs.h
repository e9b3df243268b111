// Programs of predictors made by hand, with weights and events drawn at random.
#pragma once
#include <cstdint>
#include <random>
#include <vector>

#include "realtime/program.h"

namespace tg::test {

using realtime::Code, realtime::Constant, realtime::constants_of, realtime::Instruction, realtime::Program,
    realtime::Storage;

inline std::mt19937 random_bits(1);
inline float draw() { return std::normal_distribution<float>()(random_bits); }
inline int32_t add_constant(Program& p, int32_t rows, int32_t columns) {
  Constant c{rows, columns, {}};
  for (int32_t i = 0; i < rows * columns; i++) c.data.push_back(draw());
  p.constants.push_back(c);
  return static_cast<int32_t>(p.constants.size()) - 1;
}
inline int32_t value(Program& p, int32_t width) {
  p.width.push_back(width);
  return static_cast<int32_t>(p.width.size()) - 1;
}
inline Instruction& add(Program& p, Code code, int32_t a, int32_t width) {
  Instruction i;
  i.code = code, i.a = a, i.out = value(p, width);
  for (int k = 0; k < constants_of(code); k++)
    i.constant[k] = code == Code::dense && k == 0 ? add_constant(p, width, p.width[static_cast<size_t>(a)])
                                                  : add_constant(p, 1, width);
  p.instructions.push_back(i);
  return p.instructions.back();
}
inline int32_t last(const Program& p) { return p.instructions.back().out; }

inline Program of_widths(std::initializer_list<int32_t> widths, bool relu = true) {
  Program p;
  for (int32_t w : widths) {
    if (p.width.empty()) p.width.push_back(w);
    else add(p, Code::dense, static_cast<int32_t>(p.width.size()) - 1, w).relu = relu;
  }
  p.instructions.back().relu = false;
  return p;
}
inline Program with_unary(int32_t function) {
  Program p = of_widths({9, 37});
  Instruction& i = add(p, Code::unary, last(p), 37);
  i.function = function, i.p = 0.5, i.q = 1.5;
  add(p, Code::dense, last(p), 3);
  return p;
}
// A residual or highway block's: function(layer(a), a).
inline Program with_binary(int32_t function) {
  Program p = of_widths({9, 21, 21});
  Instruction& i = add(p, Code::binary, last(p), 21);
  i.function = function, i.b = 1;
  return p;
}
inline Program refusing() {
  Program p = of_widths({16, 8, 3});
  p.refuse_nan = true;
  return p;
}
// Dense layers of integers by hand: each quantizes what the one before answers.
inline Constant integers(int32_t rows, int32_t columns, int32_t most, Storage storage) {
  Constant c{rows, columns, {}, storage};
  std::uniform_int_distribution<int32_t> any(-most, most);
  for (int32_t i = 0; i < rows * columns; i++) c.data.push_back(static_cast<float>(any(random_bits)));
  return c;
}
inline int32_t filled_constant(Program& p, int32_t columns, float number) {
  p.constants.push_back({1, columns, std::vector<float>(static_cast<size_t>(columns), number)});
  return static_cast<int32_t>(p.constants.size()) - 1;
}
inline void add_integer_dense(Program& p, bool eight, int32_t width, int32_t most = 0) {
  const int32_t before = p.instructions.empty() ? 0 : last(p), K = p.width[static_cast<size_t>(before)];
  Instruction q, d;
  q.code = eight ? Code::quantize8 : Code::quantize16;
  q.a = before, q.out = value(p, K);
  q.p = eight ? 0 : -1500, q.q = eight ? 255 : 1500;
  q.constant[0] = filled_constant(p, K, eight ? 40.5f : 301.7f);
  q.constant[1] = filled_constant(p, K, 0);
  for (float& z : p.constants.back().data) z = static_cast<float>(random_bits() % 200);
  p.instructions.push_back(q);
  d.code = eight ? Code::dense8 : Code::dense16;
  d.a = q.out, d.out = value(p, width);
  d.constant[0] = static_cast<int32_t>(p.constants.size());
  p.constants.push_back(integers(width, K, most ? most : eight ? 127 : 2000, eight ? Storage::int8 : Storage::int16));
  if (width % 2) d.constant[1] = add_constant(p, 1, width);
  d.constant[2] = add_constant(p, 1, width);
  for (float& u : p.constants.back().data) u *= eight ? 1e-4f : 1e-6f;
  d.relu = width % 3 == 0;
  p.instructions.push_back(d);
}
inline Program of_integers(std::initializer_list<int32_t> widths, bool eight) {
  Program p;
  for (int32_t w : widths) {
    if (p.width.empty()) p.width.push_back(w);
    else add_integer_dense(p, eight, w);
  }
  return p;
}
// Every size once as inputs and once as outputs.
inline std::vector<Program> programs_of_integers() {
  std::vector<Program> all;
  for (const bool eight : {true, false}) {
    all.push_back(of_integers({1, 1, 3, 5, 7, 15, 16, 17, 31, 33, 63, 65, 1}, eight));
    all.push_back(of_integers({70, 200, 1}, eight));
    all.push_back(of_integers({28, 300, 300, 2}, eight));
    Program mixed = of_integers({9, 30}, eight);  // read twice, and by the other kind
    const int32_t seen = last(mixed);
    Instruction& tanh = add(mixed, Code::unary, seen, 30);
    tanh.function = id_tanh;
    add_integer_dense(mixed, !eight, 30);
    Instruction& sum = add(mixed, Code::binary, last(mixed), 30);
    sum.function = id_add, sum.b = seen;
    add_integer_dense(mixed, eight, 4);
    all.push_back(mixed);
  }
  return all;
}
// Everything that a block is made of.
inline Program with_blocks() {
  Program p = of_widths({11, 20});
  add(p, Code::standardize, last(p), 20);
  add(p, Code::affine, last(p), 20);
  add(p, Code::prelu, last(p), 20);
  const int32_t before = last(p);
  add(p, Code::dense, before, 20);
  Instruction& sum = add(p, Code::binary, last(p), 20);
  sum.function = id_add, sum.b = before;
  add(p, Code::softmax, last(p), 20);
  add(p, Code::log_softmax, last(p), 20);
  add(p, Code::step, last(p), 20);
  add(p, Code::largest, last(p), 5);
  const int32_t joined = value(p, 25), parts[2] = {last(p), before};
  for (int k = 0; k < 2; k++) {
    Instruction i;
    i.code = Code::copy, i.a = parts[k], i.out = joined, i.out_offset = 5 * k, i.count = k ? 20 : 5;
    p.instructions.push_back(i);
  }
  add(p, Code::dense, joined, 18);
  return p;
}
inline std::vector<Program> every_program() {
  std::vector<Program> all = {of_widths({16, 64, 32, 32, 5}), of_widths({12, 32, 16, 1}), of_widths({70, 1}),
                              of_widths({28, 300, 300, 1}), with_blocks()};
  for (const int32_t function : {id_sub, id_mul, id_maximum}) all.push_back(with_binary(function));
  all.push_back(refusing());
#define TG_UNARY(name, ...) all.push_back(with_unary(id_##name));
#include "math/pointwise.def"
  for (Program& p : programs_of_integers()) all.push_back(std::move(p));
  return all;
}

inline std::vector<float> events(int64_t count, int32_t width) {
  std::vector<float> x;
  for (int64_t i = 0; i < count * width; i++) x.push_back(i % 17 == 3 ? draw() * 1e-40f : draw());
  return x;
}

}  // namespace tg::test

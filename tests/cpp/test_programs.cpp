// Programs of predictors: what does not fit is refused in words, and narrowing dense layers to integers gives programs that fit.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "check.h"
#include "core/error.h"
#include "predictor_programs.h"
#include "realtime/narrow.h"

using namespace tg;
using namespace tg::realtime;
using namespace tg::test;

namespace {

template <class Change>
void refused(const char* part, Change change) {
  Program p = with_blocks();
  change(p);
  try {
    validate(p, "test");
    CHECK(!"it was accepted");
  } catch (const Error& e) {
    const bool says = std::string(e.what()).find(part) != std::string::npos;
    CHECK(says);
    if (!says) std::fprintf(stderr, "  said: %s\n", e.what());
  }
}
void programs_that_do_not_fit_are_refused() {
  validate(with_blocks(), "test");
  refused("0 values", [](Program& p) { p.width.clear(); });
  refused("0 instructions", [](Program& p) { p.instructions.clear(); });
  refused("a value of width 0", [](Program& p) { p.width[2] = 0; });
  refused("a value of width", [](Program& p) { p.width[2] = 1 << 30; });
  refused("a constant of", [](Program& p) { p.constants[0].data.pop_back(); });
  refused("value 99 as input", [](Program& p) { p.instructions[1].a = 99; });
  refused("value -1 as input", [](Program& p) { p.instructions[1].a = -1; });
  refused("not yet written", [](Program& p) { p.instructions[0].a = 3; });
  refused("value 0 as output", [](Program& p) { p.instructions[1].out = 0; });
  refused("written already", [](Program& p) { p.instructions[1].out = 1; });
  refused("expected (20, 11)", [](Program& p) { p.instructions[0].constant[0] = 1; });
  refused("constant 999", [](Program& p) { p.instructions[1].constant[2] = 999; });
  refused("a relu", [](Program& p) { p.instructions[1].relu = true; });
  refused("function", [](Program& p) { p.instructions[5].function = id_exp; });
  refused("code 200", [](Program& p) { p.instructions[1].code = static_cast<Code>(200); });
  refused("does not follow", [](Program& p) { p.instructions[10].out_offset = 1; });
  refused("beyond its input", [](Program& p) { p.instructions[10].a_offset = 1; });
  refused("expected a multiple", [](Program& p) { p.width[static_cast<size_t>(p.instructions[9].out)] = 7; });
  refused("that is not int8", [](Program& p) { p.instructions[0].code = Code::dense8; });
  refused("an output of integers", [](Program& p) {
    p = of_integers({3, 4}, true);
    p.instructions.pop_back();
  });
  auto integer = [](auto change) {
    return [change](Program& p) {
      p = of_integers({3, 4}, true);
      change(p, p.instructions[0], p.instructions[1]);
    };
  };
  auto data = [](Program& p, int32_t constant) -> float& { return p.constants[static_cast<size_t>(constant)].data[1]; };
  refused("that is not int16", integer([](Program&, Instruction&, Instruction& d) { d.code = Code::dense16; }));
  refused("that is not int8", integer([](Program&, Instruction&, Instruction& d) { d.a = 0; }));
  refused("weights of float32",
          integer([](Program& p, Instruction&, Instruction&) { p.constants[2].storage = Storage::float32; }));
  refused("a range of", integer([](Program&, Instruction& q, Instruction&) { q.q = 256; }));
  refused("a range of", integer([](Program&, Instruction& q, Instruction&) { q.p = 0.5f; }));
  refused("a range of", integer([](Program&, Instruction& q, Instruction&) { q.q = __builtin_nanf(""); }));
  refused("zero at", integer([&](Program& p, Instruction& q, Instruction&) { data(p, q.constant[1]) = -1; }));
  refused("a scale of",
          integer([&](Program& p, Instruction& q, Instruction&) { data(p, q.constant[0]) = __builtin_inff(); }));
  refused("a scale of",
          integer([&](Program& p, Instruction&, Instruction& d) { data(p, d.constant[2]) = __builtin_nanf(""); }));
  for (const float weight : {128.0f, 0.5f, -0.0f, 1e30f, __builtin_nanf("")})
    refused("a constant of int8 with other numbers",
            integer([&](Program& p, Instruction&, Instruction& d) { data(p, d.constant[0]) = weight; }));
  refused("only written in part", [](Program& p) { p.instructions.resize(11); });
}

// What `narrowed` makes of any weights stays in range, and says what it cannot hold.
void narrowed_programs_are_valid() {
  for (const int32_t K : {1, 2, 300, 60'000})
    for (const Storage precision : {Storage::int8, Storage::int16}) {
      Program p = of_widths({K, 2, 1});
      for (const float weight : {1.0f, -3e38f, 1e-45f, 0.0f}) {
        auto& w = p.constants[0].data;
        std::fill(w.begin(), w.end(), weight);
        std::vector<float> x(static_cast<size_t>(K), weight == -3e38f ? 1e-3f : 2.0f);
        const Program made = narrowed(p, precision, {x.data(), 1});
        validate(made, "test");
        CHECK(made.constants[2].storage == precision || made.constants[1].storage == precision);
      }
    }
  Program p = of_widths({3, 2});
  const float x[] = {1, 2, 3}, bad[] = {1, __builtin_nanf(""), 3};
  auto says = [&](const char* part, const Events& events) {
    try {
      narrowed(p, Storage::int8, events);
      CHECK(!"it was accepted");
    } catch (const Error& e) {
      CHECK(std::string(e.what()).find(part) != std::string::npos);
    }
  };
  says("needs calibration=X", {});
  says("calibration event 0 gives a dense layer nan", {bad, 1});
  p.constants[0].data[1] = __builtin_inff();
  says("has the weight inf, which int8 cannot hold", {x, 1});
}

}  // namespace

int main(int argc, char** argv) {
  return test::run(argc, argv, {CASE(programs_that_do_not_fit_are_refused), CASE(narrowed_programs_are_valid)});
}

// Plan files that are damaged, cut off or made to harm: each is refused, nothing is built by half, and reading takes memory in
// proportion to the file.
#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include "check.h"
#include "core/error.h"
#include "counting_new.h"
#include "math/lane.h"
#include "realtime/narrow.h"
#include "realtime/plan_file.h"

using namespace tg;
using namespace tg::realtime;

namespace {

Constant numbers(int32_t rows, int32_t columns, std::mt19937& random) {
  Constant c{rows, columns, {}};
  std::normal_distribution<float> normal;
  for (int32_t i = 0; i < rows * columns; i++) c.data.push_back(normal(random));
  return c;
}

// 5 -> 7 relu -> [7, 5] -> softplus -> 3 -> softmax
Plan plan() {
  std::mt19937 random(3);
  Plan made;
  Program& p = made.program;
  p.width = {5, 7, 12, 12, 3, 3};
  p.constants = {numbers(7, 5, random), numbers(1, 7, random), numbers(3, 12, random), numbers(1, 3, random)};
  p.instructions.resize(6);
  auto& s = p.instructions;
  s[0].code = Code::dense, s[0].a = 0, s[0].out = 1, s[0].relu = true, s[0].constant[0] = 0, s[0].constant[1] = 1;
  s[1].code = Code::copy, s[1].a = 1, s[1].out = 2, s[1].count = 7;
  s[2].code = Code::copy, s[2].a = 0, s[2].out = 2, s[2].count = 5, s[2].out_offset = 7;
  s[3].code = Code::unary, s[3].a = 2, s[3].out = 3, s[3].function = id_softplus, s[3].p = 1.5f,
  s[3].q = __builtin_inff();
  s[4].code = Code::dense, s[4].a = 3, s[4].out = 4, s[4].constant[0] = 2, s[4].constant[1] = 3;
  s[5].code = Code::softmax, s[5].a = 4, s[5].out = 5;
  made.test = self_test_of(p);
  return made;
}

// The same with dense layers of integers, one of each kind.
Plan plan_of_integers() {
  std::mt19937 random(5);
  Plan made = plan();
  Program& p = made.program;
  const std::vector<float> x(20, 0.75f);
  Program eight = narrowed(p, Storage::int8, {x.data(), 4}), sixteen = narrowed(p, Storage::int16, {x.data(), 4});
  // the last dense layer and what feeds it are int16
  const auto from = static_cast<size_t>(std::find_if(eight.instructions.begin() + 1, eight.instructions.end(),
                                                     [](const Instruction& i) { return is_quantize(i.code); }) -
                                        eight.instructions.begin());
  for (size_t i = from; i < from + 2; i++) {
    Instruction s = sixteen.instructions[i];
    for (int k = 0; k < constants_of(s.code); k++) {
      eight.constants.push_back(sixteen.constants[static_cast<size_t>(s.constant[k])]);
      s.constant[k] = static_cast<int32_t>(eight.constants.size()) - 1;
    }
    eight.instructions[i] = s;
  }
  p = eight;
  made.test = self_test_of(p);
  return made;
}

uint32_t crc32(const std::byte* bytes, size_t n) {  // bit by bit: apart from the table of plan_file.cpp
  uint32_t c = ~0u;
  for (size_t i = 0; i < n; i++) {
    c ^= static_cast<uint32_t>(bytes[i]);
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
  }
  return ~c;
}
void mend(std::vector<std::byte>& file) {
  if (file.size() < 32) return;
  const uint64_t size = file.size();
  std::memcpy(file.data() + 24, &size, 8);
  const uint32_t sum = crc32(file.data() + 24, file.size() - 24);
  std::memcpy(file.data() + 20, &sum, 4);
}

void refused(const char* part, const std::vector<std::byte>& file) {
  try {
    from_bytes(file, "test");
    std::fprintf(stderr, "accepted, expected: %s\n", part);
    CHECK(false);
  } catch (const Error& e) {
    const bool says = std::strstr(e.what(), part) != nullptr;
    if (!says) std::fprintf(stderr, "expected: %s\n  said: %s\n", part, e.what());
    CHECK(says);
  }
}

// The file with `from` in its header replaced by `to`, of the same length.
std::vector<std::byte> with(std::vector<std::byte> file, const std::string& from, const std::string& to) {
  CHECK_EQ(from.size(), to.size());
  for (size_t i = 32; i + from.size() <= file.size(); i++)
    if (!std::memcmp(file.data() + i, from.data(), from.size())) {
      std::memcpy(file.data() + i, to.data(), to.size());
      mend(file);
      return file;
    }
  CHECK(!"not in the header");
  return file;
}

void a_plan_comes_back_as_it_was() {
  for (const Plan& a : {plan(), plan_of_integers()}) {
    const auto file = to_bytes(a);
    CHECK_EQ(file.size() % 64, size_t(0));
    const Plan b = from_bytes(file, "test");
    CHECK_EQ(digest(a.program), digest(b.program));
    CHECK(to_bytes(b) == file);
    const auto softplus = std::find_if(b.program.instructions.begin(), b.program.instructions.end(),
                                       [](const Instruction& i) { return i.code == Code::unary; });
    CHECK_EQ(softplus->q, __builtin_inff());
    check_self_test(Predictor(b.program, *kernel_table(nullptr)), b.test, "test");
  }
}

// Whatever numbers and indices a program of integers has: it is refused, or it runs, every instruction set to the same bits.
void mutated_programs_are_refused_or_run() {
  const Plan whole = plan_of_integers();
  std::mt19937 random(23);
  auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const float numbers[] = {0,
                           -0.0f,
                           1,
                           -1,
                           127,
                           128,
                           255,
                           256,
                           -127,
                           32767,
                           -32768,
                           0.5f,
                           1e9f,
                           -1e9f,
                           3e38f,
                           1e-45f,
                           __builtin_inff(),
                           -__builtin_inff(),
                           __builtin_nanf("")};
  int ran = 0;
  for (int turn = 0; turn < 20'000; turn++) {
    Program p = whole.program;
    Instruction& i = p.instructions[below(p.instructions.size())];
    const float number = numbers[below(std::size(numbers))];
    switch (below(8)) {
      case 0: i.code = static_cast<Code>(below(kCodes)); break;
      case 1: i.a = static_cast<int32_t>(below(p.width.size())); break;
      case 2: i.out = static_cast<int32_t>(below(p.width.size())); break;
      case 3: i.constant[below(3)] = static_cast<int32_t>(below(p.constants.size() + 1)) - 1; break;
      case 4: (below(2) ? i.p : i.q) = number; break;
      case 5: p.constants[below(p.constants.size())].storage = static_cast<Storage>(below(kStorages)); break;
      default: {
        auto& data = p.constants[below(p.constants.size())].data;
        data[below(data.size())] = number;
      }
    }
    try {
      validate(p, "test");
    } catch (const Error&) {
      continue;
    }
    ran++;
    std::vector<float> y[2];
    for (const char* isa : {"baseline", "avx2", "avx512"}) {
      if (!kernel_table(isa)) continue;
      const Predictor predictor(p, *kernel_table(isa));
      auto& answer = y[isa[0] != 'b'];
      answer.assign(static_cast<size_t>(predictor.outputs()), 0);
      predictor.run(whole.test.x.data(), answer.data());
      if (isa[0] != 'b')
        for (size_t k = 0; k < answer.size(); k++)
          CHECK(bits(y[0][k]) == bits(answer[k]) || (y[0][k] != y[0][k] && answer[k] != answer[k]));
    }
  }
  CHECK(ran > 1'000);
  CHECK(ran < 16'000);
}

void damaged_files_are_refused() {
  const auto file = to_bytes(plan());
  refused("does not begin as one", {});
  for (const size_t n : {size_t(7), size_t(31), size_t(32), size_t(100), file.size() - 1})
    refused(n < 32 ? "does not begin" : "cut off", {file.begin(), file.begin() + static_cast<ptrdiff_t>(n)});
  auto changed = file;
  changed.push_back(std::byte{0});
  refused("it has", changed);
  mend(changed);
  refused("bytes too many", changed);
  changed = file;
  changed[8] = std::byte{2};
  refused("has format 2", changed);
  changed = file;
  changed[12] = std::byte{9};
  mend(changed);
  refused("arithmetic version 9", changed);
  changed = file;
  changed[file.size() - 3] ^= std::byte{1};
  refused("checksum", changed);
  changed = file;
  changed[18] = std::byte{255};
  refused("a header of", changed);
  refused("a key of the header", with(file, "\"width\"", "\"wodth\""));
  refused("a key of an instruction", with(file, "\"relu\"", "\"rilu\""));
  refused("an instruction that is known", with(file, "\"dense\"", "\"tense\""));
  refused("a function that is known", with(file, "softplus", "softplum"));
  refused("true or false", with(file, "true", "tree"));
  refused("an integer", with(file, "\"width\":[5", "\"width\":[x"));
  refused("an integer", with(file, "\"width\":[5,7", "\"width\":[057"));
  refused("numbers of shape", with(file, "[7,5,", "[9,9,"));
  refused("expected (", with(file, "[7,5,", "[5,7,"));
  refused("a storage that is known", with(file, "float32", "float23"));
  refused("numbers of shape", with(to_bytes(plan_of_integers()), "[7,5,", "[9,9,"));
  refused("a constant of int8 with other numbers", [] {
    auto changed = to_bytes(plan_of_integers());  // -128: beyond what weights may be
    uint32_t header;
    std::memcpy(&header, changed.data() + 16, 4);
    const size_t parameters = (plan_of_integers().program.instructions.size() * 8 + 63) / 64 * 64;
    changed[32 + header + parameters + 2 * 64] = std::byte{0x80};  // behind scale and zero of the first row
    mend(changed);
    return changed;
  }());
  refused("as input", with(file, "\"a\":3", "\"a\":9"));
}

// Every single bit of the weights: the checksum is mended, the digest sees it.
void every_weight_bit_counts() {
  const Plan a = plan();
  const auto file = to_bytes(a);
  uint32_t header;
  std::memcpy(&header, file.data() + 16, 4);
  const size_t first = 32 + header + 64, count = 7 * 5 * sizeof(float);
  CHECK(!std::memcmp(file.data() + first, a.program.constants[0].data.data(), count));
  for (size_t bit = 0; bit < 8 * count; bit++) {
    auto changed = file;
    changed[first + bit / 8] ^= std::byte(1 << bit % 8);
    mend(changed);
    refused("its weights are not those that were saved", changed);
  }
}

// The self test itself: a program that is valid, but not the one that gave the answers.
void the_self_test_compares_answers() {
  Plan a = plan();
  a.program.constants[3].data[0] += 0.5f;
  const Plan b = from_bytes(to_bytes(a), "test");
  try {
    check_self_test(Predictor(b.program, *kernel_table(nullptr)), b.test, "test");
    CHECK(!"it passed");
  } catch (const Error& e) {
    CHECK(std::strstr(e.what(), "the self test failed: event 0, output 0") != nullptr);
  }
}

void a_hundred_thousand_mutations() {
  const std::vector<std::byte> files[] = {to_bytes(plan()), to_bytes(plan_of_integers())};
  std::mt19937 random(17);
  auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const char* const pieces[] = {"-1", "99", "2147483647", "{",    "}",        "[",       "]",
                                ",",  "\"", "0",          "true", "\"copy\"", "\"out\":"};
  size_t worst = 0;
  int accepted = 0;
  for (int turn = 0; turn < 100'000; turn++) {
    const auto& file = files[turn / 2 % 2];
    uint32_t header;
    std::memcpy(&header, file.data() + 16, 4);
    auto f = file;
    for (size_t changes = 1 + below(3); changes > 0; changes--) {
      const size_t at = turn % 2 ? 32 + below(header) : below(f.size());
      switch (below(5)) {
        case 0: f[at] = std::byte(below(256)); break;
        case 1: f[at] ^= std::byte(1 << below(8)); break;
        case 2:
          f.erase(f.begin() + static_cast<ptrdiff_t>(at),
                  f.begin() + static_cast<ptrdiff_t>(std::min(f.size(), at + 1 + below(9))));
          break;
        case 3: f.resize(at); break;
        default: {
          const std::string piece = pieces[below(std::size(pieces))];
          if (at + piece.size() <= f.size()) std::memcpy(f.data() + at, piece.data(), piece.size());
        }
      }
      if (f.size() < 33 + header) break;
    }
    if (turn % 2) mend(f);
    allocated_bytes = 0;
    try {
      const Plan p = from_bytes(f, "test");
      accepted++;
      const Predictor predictor(p.program, *kernel_table(nullptr));  // what is accepted can run
      std::vector<float> y(static_cast<size_t>(predictor.outputs()));
      predictor.run(p.test.x.data(), y.data());
    } catch (const Error&) {
      if (allocated_bytes > worst) worst = allocated_bytes;
    }
  }
  CHECK(worst < 64 * files[0].size());
  CHECK(accepted > 0);  // spaces and the version's text may change
  CHECK(accepted < 10'000);
  std::printf("accepted %d of 100000, at most %zu bytes allocated for a file of %zu\n", accepted, worst,
              files[0].size());
}

}  // namespace

int main(int argc, char** argv) {
  return test::run(
      argc, argv,
      {CASE(a_plan_comes_back_as_it_was), CASE(mutated_programs_are_refused_or_run), CASE(damaged_files_are_refused),
       CASE(every_weight_bit_counts), CASE(the_self_test_compares_answers), CASE(a_hundred_thousand_mutations)});
}

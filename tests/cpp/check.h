// Plain asserts for the C++ tests. A failed check is printed and counted, and the case goes on.
//
//   static void adds() { CHECK_EQ(1 + 1, 2); }
//   int main(int argc, char** argv) { return tg::test::run(argc, argv, {CASE(adds)}); }
//
// Arguments choose the cases whose names contain one of them. A case without a single check fails.
#pragma once
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <sstream>
#include <string>
#include <type_traits>

namespace tg::test {

struct Case {
  const char* name;
  void (*body)();
};

inline std::atomic<long long> checks{0};
inline std::atomic<long long> failures{0};

inline void record(bool ok, const char* file, int line, const std::string& what) {
  ++checks;
  if (ok) return;
  const long long nth = ++failures;
  if (nth <= 50) std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  if (nth == 50) std::fprintf(stderr, "(further failures are counted, not printed)\n");
}

template <class T>
std::string shown(const T& value) {
  std::ostringstream out;
  if constexpr (std::is_floating_point_v<T>) {
    char text[64];
    std::snprintf(text, sizeof text, "%.17g (%a)", static_cast<double>(value), static_cast<double>(value));
    out << text;
  } else if constexpr (std::is_enum_v<T>) {
    out << static_cast<long long>(value);
  } else if constexpr (sizeof(T) == 1 && std::is_integral_v<T>) {
    out << static_cast<int>(value);
  } else if constexpr (requires { out << value; }) {
    out << value;
  } else {
    out << "(a value)";
  }
  return out.str();
}

// The same bits; any NaN equals any NaN.
template <class T>
bool same_bits(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  }
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

template <class A, class B>
void check_eq(const A& a, const B& b, const char* text, const char* file, int line) {
  const bool ok = a == b;
  record(ok, file, line, ok ? std::string() : std::string(text) + ": " + shown(a) + " != " + shown(b));
}

template <class T>
void check_bits(T a, std::type_identity_t<T> b, const char* text, const char* file, int line) {
  const bool ok = same_bits(a, b);
  record(ok, file, line, ok ? std::string() : std::string(text) + ": " + shown(a) + " and " + shown(b) + " differ");
}

template <class Error, class Body>
void check_throws(Body&& body, const char* part, const char* text, const char* file, int line) {
  std::string got = "nothing was thrown";
  try {
    body();
  } catch (const Error& error) {
    got = error.what();
    if (got.find(part) != std::string::npos) return record(true, file, line, {});
  } catch (const std::exception& error) {
    got = std::string("another exception: ") + error.what();
  }
  record(false, file, line, std::string(text) + ": expected \"" + part + "\", got \"" + got + "\"");
}

inline int run(int argc, char** argv, std::initializer_list<Case> cases) {
  int ran = 0;
  int failed = 0;
  for (const Case& each : cases) {
    bool chosen = argc < 2;
    for (int i = 1; i < argc; ++i) chosen = chosen || std::strstr(each.name, argv[i]) != nullptr;
    if (!chosen) continue;
    const long long checks_before = checks;
    const long long failures_before = failures;
    try {
      each.body();
    } catch (const std::exception& error) {
      record(false, each.name, 0, std::string("uncaught exception: ") + error.what());
    }
    if (checks == checks_before) record(false, each.name, 0, "the case checked nothing");
    const bool ok = failures == failures_before;
    std::printf("%-6s %s\n", ok ? "ok" : "FAILED", each.name);
    ++ran;
    failed += ok ? 0 : 1;
  }
  std::printf("%d cases, %d failed; %lld checks, %lld failed\n", ran, failed, checks.load(), failures.load());
  return ran == 0 || failed != 0 ? 1 : 0;
}

}  // namespace tg::test

#define CASE(function) \
  tg::test::Case { #function, function }
#define CHECK(condition) tg::test::record(static_cast<bool>(condition), __FILE__, __LINE__, #condition)
#define CHECK_EQ(a, b) tg::test::check_eq((a), (b), #a " == " #b, __FILE__, __LINE__)
#define CHECK_BITS(a, b) tg::test::check_bits((a), (b), #a " and " #b, __FILE__, __LINE__)
// The expression throws an Error whose text contains `part`.
#define CHECK_THROWS(expression, Error, part) \
  tg::test::check_throws<Error>([&] { (void)(expression); }, part, #expression, __FILE__, __LINE__)

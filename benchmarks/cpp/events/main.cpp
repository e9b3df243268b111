// Times one event in C++: compiled and run by latency_cpp.py, whose `networks.h` includes the exported headers and lists, for
// each network, the engines. Arguments: folder, blocks, calls of a block. Prints `network engine error ns ns ns ...`, a number
// per block; engines take turns. A block's calls are fenced from each other: what counts is how long one event takes.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "networks.h"  // first: exported headers come before anything of trigrad's
#include <trigrad/predictor.h>

#include "engines.h"

namespace {

void fence() {
#if defined(__x86_64__)
  _mm_lfence();
#else
  __asm__ volatile("isb" ::: "memory");
#endif
}

Problem read(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) std::perror(path.c_str()), std::exit(2);
  const auto get = [&](void* to, size_t bytes) {
    if (std::fread(to, 1, bytes, file) != bytes) std::fprintf(stderr, "%s is too short\n", path.c_str()), std::exit(2);
  };
  Problem p;
  int layers = 0;
  get(&layers, sizeof layers);
  for (int i = 0; i < layers; i++) {
    Layer l;
    get(&l.inputs, sizeof l.inputs), get(&l.outputs, sizeof l.outputs);
    l.weight.resize(static_cast<size_t>(l.inputs) * static_cast<size_t>(l.outputs));
    l.bias.resize(static_cast<size_t>(l.outputs));
    get(l.weight.data(), l.weight.size() * sizeof(float)), get(l.bias.data(), l.bias.size() * sizeof(float));
    p.layers.push_back(std::move(l));
  }
  get(&p.count, sizeof p.count);
  p.events.resize(static_cast<size_t>(p.count) * static_cast<size_t>(p.layers.front().inputs));
  get(p.events.data(), p.events.size() * sizeof(float));
  std::fclose(file);
  return p;
}

using Run = void (*)(const float*, float*) noexcept;
template <Run run>
Engine header(const std::string& name) {
  return {name, [](const void*, const float* x, float* y) { run(x, y); }, nullptr};
}
Engine library(const std::string& name, const std::string& path) {
  return {name,
          [](const void* self, const float* x, float* y) { static_cast<const trigrad::Predictor*>(self)->run(x, y); },
          std::make_shared<trigrad::Predictor>(path)};
}

double block(const Engine& engine, const Problem& p, std::vector<float>& y, int calls) {
  auto* call = engine.call;
  const void* const self = engine.self.get();
  __asm__ volatile("" : "+r"(call));  // not to be seen through
  const float* const first = p.events.data();
  const int inputs = p.layers.front().inputs;
  fence();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0, event = 0; i < calls; i++, event = event + 1 == p.count ? 0 : event + 1) {
    call(self, first + static_cast<ptrdiff_t>(event) * inputs, y.data());
    fence();
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  return took.count() / calls;
}

void measure(const char* name, const Problem& p, const std::vector<Engine>& engines, int blocks, int calls) {
  const auto outputs = static_cast<size_t>(p.layers.back().outputs);
  std::vector<float> y(outputs + 64), expected(outputs + 64);
  const Engine nothing{"nothing",
                       [](const void*, const float*, float*) {
                         __asm__ volatile("" ::: "memory");
                       },
                       nullptr};
  std::vector<std::vector<double>> times(engines.size());
  std::vector<double> errors(engines.size());
  for (size_t e = 0; e < engines.size(); e++) {
    double difference = 0, size = 0;
    for (int i = 0; i < p.count; i++) {
      const float* const x = p.events.data() + static_cast<ptrdiff_t>(i) * p.layers.front().inputs;
      engines[0].call(engines[0].self.get(), x, expected.data());
      engines[e].call(engines[e].self.get(), x, y.data());
      for (size_t k = 0; k < outputs; k++)
        difference += (y[k] - expected[k]) * (y[k] - expected[k]), size += expected[k] * expected[k];
    }
    errors[e] = std::sqrt(difference / size);
  }
  for (int b = -1; b < blocks; b++) {
    const double empty = block(nothing, p, y, calls);
    for (size_t e = 0; e < engines.size(); e++) {
      block(engines[e], p, y, calls / 8 + 1);  // its code and weights come back
      const double ns = block(engines[e], p, y, calls) - empty;
      if (b >= 0) times[e].push_back(ns);
    }
  }
  for (size_t e = 0; e < engines.size(); e++) {
    std::printf("%s\t%s\t%.3g", name, engines[e].name.c_str(), errors[e]);
    for (const double ns : times[e]) std::printf("\t%.2f", ns);
    std::printf("\n");
  }
}

}  // namespace

int main(int, char** arguments) {
  const std::string folder = arguments[1];
  const int blocks = std::atoi(arguments[2]), calls = std::atoi(arguments[3]);
  NETWORKS
}

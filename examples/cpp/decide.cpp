// A trigger without Python: decide PLAN [THRESHOLD] reads events from standard input, as many numbers each as the model takes,
// and prints each event's answer and whether its first output passes the threshold.
#include <trigrad/predictor.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <vector>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: decide PLAN [THRESHOLD] < events\n");
    return 2;
  }
  try {
    const trigrad::Predictor model(argv[1]);
    const trigrad::Cut cut = model.cut(argc > 2 ? std::strtof(argv[2], nullptr) : 0.5f);
    std::vector<float> x(static_cast<std::size_t>(model.inputs())), y(static_cast<std::size_t>(model.outputs()));
    for (;;) {
      for (float& feature : x) {
        if (std::scanf("%f", &feature) == 1) continue;
        if (&feature == x.data() && std::feof(stdin)) return 0;
        std::fprintf(stderr, "an event is not of %d numbers\n", model.inputs());
        return 1;
      }
      if (!model.run(x.data(), y.data())) {
        std::puts("refused: NaN");
        continue;
      }
      for (const float answer : y) std::printf("%a ", static_cast<double>(answer));
      std::puts(model.passes(x.data(), cut) ? "accept" : "reject");
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

// What an error of CUDA's runtime is told as.
#pragma once
#include <string>

namespace tg::cuda::device {

// Of a GPU that the module's code is not for, with what to do: `architectures` as nvcc lists them, "750,900", and the GPU's compute
// capability, for instance 8 and 6.
inline std::string without_code(const char* architectures, int major, int minor) {
  std::string compiled;
  int number = 0;
  for (const char* c = architectures;; c++) {
    if (*c >= '0' && *c <= '9') {
      number = number * 10 + (*c - '0');
      continue;
    }
    if (number) {
      compiled += compiled.empty() ? "" : ", ";
      compiled += std::to_string(number / 100) + "." + std::to_string(number % 100 / 10);
    }
    number = 0;
    if (!*c) break;
  }
  const std::string has = "; the module was compiled for compute capability " + compiled + ", this GPU has " +
                          std::to_string(major) + "." + std::to_string(minor);
  if (major * 10 + minor < 75) return has + ", and GPUs before 7.5 are not supported; use 'cpu'";
  return has + "; install trigrad again for it: pip install . -Ccmake.define.TRIGRAD_CUDA=ON " +
         "-Ccmake.define.CMAKE_CUDA_ARCHITECTURES=" + std::to_string(major) + std::to_string(minor);
}

#ifdef __CUDACC__
void check(cudaError_t e, const char* what);  // throws a Refusal unless it is success
#endif

}  // namespace tg::cuda::device

// cuBLASLt, where it is on the machine.
#include "cuda/cublas.h"

#if defined(__CUDACC__)
#include <dlfcn.h>

#include <mutex>
#include <string>

#include "cuda/device.h"

namespace tg::cuda {
namespace {

// ---- what of its interface is used, in our own words: handles are opaque, statuses 0 where all went well

constexpr int kFloat32 = 0, kFloat16 = 2, kBFloat16 = 14;  // types of elements
constexpr int kCompute32 = 68, kComputeTf32 = 77;
constexpr int kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBiasPointer = 8;  // attributes of a product
constexpr int kWorkspaceBytes = 1, kReductionSchemes = 3, kAlignment = 5;         // and of what is preferred
constexpr uint32_t kBiasEpilogue = 4;

struct Algorithm {  // and what the library thinks of it
  uint64_t algorithm[8];
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

struct Library {
  int (*create)(void** handle);
  int (*product_create)(void** product, int compute, int scale);
  int (*product_set)(void* product, int attribute, const void* value, size_t bytes);
  int (*product_destroy)(void* product);
  int (*matrix_create)(void** matrix, int type, uint64_t rows, uint64_t columns, int64_t leading);
  int (*matrix_destroy)(void* matrix);
  int (*preference_create)(void** preference);
  int (*preference_set)(void* preference, int attribute, const void* value, size_t bytes);
  int (*preference_destroy)(void* preference);
  int (*choose)(void* handle, void* product, void* a, void* b, void* c, void* d, void* preference, int wanted,
                Algorithm* found, int* how_many);
  int (*multiply)(void* handle, void* product, const void* alpha, const void* a, void* of_a, const void* b, void* of_b,
                  const void* beta, const void* c, void* of_c, void* d, void* of_d, const void* algorithm,
                  void* workspace, size_t bytes, cudaStream_t stream);
  bool there = false;
};

// The user's, where the loader finds it, or that of the wheel nvidia-cublas, beside the package in which this module lies.
void* opened() {
  const std::string major = std::to_string(CUDART_VERSION / 1000), name = "libcublasLt.so." + major;
  if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  Dl_info self;
  if (!dladdr(reinterpret_cast<void*>(opened), &self) || !self.dli_fname) return nullptr;
  std::string folder = self.dli_fname;
  for (int up = 0; up < 2; up++) {
    const auto slash = folder.rfind('/');
    if (slash == std::string::npos) return nullptr;
    folder.resize(slash);
  }
  for (const std::string& place : {"/nvidia/cu" + major + "/lib/", std::string("/nvidia/cublas/lib/")})
    if (void* library = dlopen((folder + place + name).c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  return nullptr;
}

const Library& library() {
  static const Library found = [] {
    Library l{};
    void* file = opened();
    if (!file) return l;
    bool all = true;
    auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(file, name));
      all &= function != nullptr;
    };
    find(l.create, "cublasLtCreate");
    find(l.product_create, "cublasLtMatmulDescCreate");
    find(l.product_set, "cublasLtMatmulDescSetAttribute");
    find(l.product_destroy, "cublasLtMatmulDescDestroy");
    find(l.matrix_create, "cublasLtMatrixLayoutCreate");
    find(l.matrix_destroy, "cublasLtMatrixLayoutDestroy");
    find(l.preference_create, "cublasLtMatmulPreferenceCreate");
    find(l.preference_set, "cublasLtMatmulPreferenceSetAttribute");
    find(l.preference_destroy, "cublasLtMatmulPreferenceDestroy");
    find(l.choose, "cublasLtMatmulAlgoGetHeuristic");
    find(l.multiply, "cublasLtMatmul");
    l.there = all;
    return l;
  }();
  return found;
}

// One for each device, for ever.
void* handle_of(int index) {
  static std::mutex mutex;
  static void* handles[16] = {};
  if (index < 0 || index >= 16) return nullptr;
  const std::lock_guard lock(mutex);
  if (!handles[index] && library().create(&handles[index]) != 0) handles[index] = nullptr;
  return handles[index];
}

// A matrix as the library sees it, by columns: is it ours turned?
struct Layout {
  void* matrix = nullptr;
  int32_t turned = 0;
  Layout(const Matrix& m, Along along, int type, int64_t lines, int64_t terms) {
    const int64_t leading = along == Along::terms ? m.line : m.term;
    turned = along == Along::terms;
    const int64_t rows = turned ? terms : lines, columns = turned ? lines : terms;
    if (leading >= rows && library().matrix_create(&matrix, type, uint64_t(rows), uint64_t(columns), leading) != 0)
      matrix = nullptr;
  }
  ~Layout() {
    if (matrix) library().matrix_destroy(matrix);
  }
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
};

// In bytes, as far as the library asks: without a word it takes 256 for granted.
uint32_t alignment_of(const void* data) {
  uint32_t bytes = 256;
  while (reinterpret_cast<uintptr_t>(data) % bytes != 0) bytes /= 2;
  return bytes;
}

struct Handle {
  void* it = nullptr;
  int (*destroy)(void*);
  ~Handle() {
    if (it) destroy(it);
  }
};

}  // namespace

// The rows of y are the columns of what the library makes: y^T (N,M) = b (N,K) a^T (K,M).
bool cublas_product(const Call& c, const ProductOperands& o, Along along_a, Along along_b, const Rows& y,
                    Stream stream) {
  constexpr int64_t kWorthIt = int64_t(1) << 28;  // multiply-adds
  const auto [M, N, K] = o.d;
  if (M < 128 || N < 128 || K < 128 || M * N * K < kWorthIt || o.items.n != 1 || o.a.type != y.type) return false;
  if (o.a.wide == 1 || o.b.wide == 1 || (o.bias && o.bias_n != 1)) return false;  // not contiguous, or not aligned
  if (o.bias && alignment_of(o.bias) < 16) return false;
  const Library& l = library();
  void* handle = l.there ? handle_of(c.index) : nullptr;
  if (!handle) return false;
  const int type = y.type == Dtype::Float32 ? kFloat32 : y.type == Dtype::BFloat16 ? kBFloat16 : kFloat16;
  const Layout first(o.b, along_b, type, N, K), second(o.a, along_a, type, M, K);
  const Layout made(Matrix{y.data, y.type, 1, N, 1}, Along::lines, type, N, M);
  Handle product{nullptr, l.product_destroy}, preference{nullptr, l.preference_destroy};
  if (!first.matrix || !second.matrix || !made.matrix) return false;
  if (l.product_create(&product.it, type == kFloat32 ? kComputeTf32 : kCompute32, kFloat32) != 0) return false;
  if (l.preference_create(&preference.it) != 0) return false;
  const int32_t turn_first = first.turned, turn_second = !second.turned;
  const size_t room = size_t(32) << 20;
  const uint32_t none = 0;  // one order of sums: the terms are not shared out
  bool set = l.product_set(product.it, kTransposeA, &turn_first, sizeof turn_first) == 0 &&
             l.product_set(product.it, kTransposeB, &turn_second, sizeof turn_second) == 0 &&
             l.preference_set(preference.it, kWorkspaceBytes, &room, sizeof room) == 0 &&
             l.preference_set(preference.it, kReductionSchemes, &none, sizeof none) == 0;
  const void* const all[4] = {o.b.data, o.a.data, y.data, y.data};  // first, second, what is added, what is made
  for (int k = 0; k < 4; k++) {
    const uint32_t bytes = alignment_of(all[k]);
    set = set && l.preference_set(preference.it, kAlignment + k, &bytes, sizeof bytes) == 0;
  }
  if (o.bias)
    set = set && l.product_set(product.it, kEpilogue, &kBiasEpilogue, sizeof kBiasEpilogue) == 0 &&
          l.product_set(product.it, kBiasPointer, &o.bias, sizeof o.bias) == 0;
  Algorithm best;
  int found = 0;
  if (!set || l.choose(handle, product.it, first.matrix, second.matrix, made.matrix, made.matrix, preference.it, 1,
                       &best, &found) != 0)
    return false;
  if (found == 0 || best.status != 0) return false;
  void* workspace = best.workspace ? c.scratch(c.context, best.workspace) : nullptr;
  if (best.workspace && !workspace) return false;
  const float one = 1, zero = 0;
  return l.multiply(handle, product.it, &one, o.b.data, first.matrix, o.a.data, second.matrix, &zero, y.data,
                    made.matrix, y.data, made.matrix, best.algorithm, workspace, best.workspace, stream) == 0;
}

}  // namespace tg::cuda

#else

namespace tg::cuda {

bool cublas_product(const Call&, const ProductOperands&, Along, Along, const Rows&, Stream) { return false; }

}  // namespace tg::cuda

#endif

// The table and the door: signatures, checks before writes, promotion, in place, versions, recorder, backends.
#include <cstring>
#include <vector>

#include "check.h"
#include "ops/dispatch.h"
#include "ops/table.h"

using namespace tg;

static const Op& named(const char* name) {
  const Op* o = find_op(name);
  if (!o) fail(ErrorKind::Runtime, "no op ", name);
  return *o;
}

static Tensor floats(const Dims& shape, std::initializer_list<float> values) {
  Tensor t = empty(shape, Dtype::Float32);
  std::copy(values.begin(), values.end(), t.data<float>());
  return t;
}
static std::vector<float> values(const Tensor& t) { return {t.data<float>(), t.data<float>() + t.numel()}; }

static Attrs reduce(std::initializer_list<int64_t> dims, bool keep) {
  Attrs a;
  a.add(Dims(dims));
  a.add(Attr::boolean(keep));
  return a;
}

static void rows() {
  CHECK_EQ(ops().size(), static_cast<size_t>(kOps));
  for (size_t i = 0; i < ops().size(); i++) {
    const Op& o = ops()[i];
    CHECK_EQ(static_cast<size_t>(o.id), i);
    CHECK(find_op(o.name) == &o || o.name.back() == '_');
    CHECK(o.infer != nullptr);
    CHECK(o.n_tensors() <= kMaxInputs && o.n_outputs <= kMaxOutputs);
    CHECK(o.attributes.size() <= static_cast<size_t>(kMaxAttrs));
    CHECK_EQ(o.tensors.size() + o.attributes.size(), o.params.size());
    for (size_t k = 0; k < o.tensors.size(); k++) {  // a list comes last
      const Param& p = o.params[static_cast<size_t>(o.tensors[k])];
      CHECK((p.kind == Param::Kind::Tensors) == (o.variadic && k + 1 == o.tensors.size()));
    }
    CHECK(dispatch::backend(Device::Cpu)->kernels[i] != nullptr);
  }
  const Op& sum = named("sum");
  CHECK_EQ(sum.params.size(), 4u);
  CHECK_EQ(sum.n_tensors(), 1);
  CHECK_EQ(sum.params[1].name, "dim");
  CHECK(sum.params[1].nullable && sum.params[1].has_default);
  CHECK_EQ(named("native_cross_entropy").params[3].fallback.i, -100);
}

static void promotes() {
  Tensor a = floats({2}, {1, 2}), i = empty({2}, Dtype::Int64);
  i.data<int64_t>()[0] = 3, i.data<int64_t>()[1] = 4;
  const Tensor y = dispatch::call1(named("add"), {a, i});
  CHECK_EQ(y.dtype, Dtype::Float32);
  CHECK(values(y) == (std::vector<float>{4, 6}));
  Tensor number = scalar(0.5, Dtype::Float64);
  number.number = true;
  CHECK_EQ(dispatch::call1(named("add"), {a, number}).dtype, Dtype::Float32);
  CHECK_EQ(dispatch::call1(named("add"), {i, number}).dtype, Dtype::Float32);
  CHECK_EQ(dispatch::call1(named("add"), {a, scalar(0.5, Dtype::Float64)}).dtype, Dtype::Float32);
  CHECK_EQ(dispatch::call1(named("add"), {floats({}, {1}), scalar(0.5, Dtype::Float64)}).dtype, Dtype::Float64);
  CHECK_EQ(dispatch::call1(named("eq"), {a, i}).dtype, Dtype::Bool);
  CHECK_THROWS(dispatch::call1(named("exp"), {empty({2}, Dtype::Float16)}), Error,
               "[exp] got float16, which is storage only");
}

static void in_place_and_versions() {
  Tensor a = floats({3}, {1, 2, 3}), b = floats({3}, {10, 20, 30});
  const uint64_t before = a.storage->version();
  const Tensor in[] = {a, b};
  dispatch::call_inplace(named("add"), in, {});
  CHECK(values(a) == (std::vector<float>{11, 22, 33}));
  CHECK_EQ(a.storage->version(), before + 1);
  CHECK_EQ(b.storage->version(), 0u);

  // a[1:] += a[:-1] reads the old values.
  Tensor t = floats({4}, {1, 2, 3, 4});
  const Tensor shifted[] = {slice("s", t, 0, 1, 3, 1), slice("s", t, 0, 0, 3, 1)};
  dispatch::call_inplace(named("add"), shifted, {});
  CHECK(values(t) == (std::vector<float>{1, 3, 5, 7}));

  const Tensor flipped[] = {t, slice("s", t, 0, 3, 4, -1)};
  Tensor out[kMaxOutputs];
  dispatch::call(named("copy_"), flipped, {}, out);
  CHECK(values(t) == (std::vector<float>{7, 5, 3, 1}));
}

static void refuses_before_writing() {
  Tensor a = floats({2}, {1, 2});
  const uint64_t version = a.storage->version();
  Tensor wide[] = {a, floats({3}, {1, 2, 3})};
  CHECK_THROWS(dispatch::call_inplace(named("add"), wide, {}), Error, "[add] shapes (2,) and (3,) cannot be broadcast");
  Tensor column[] = {a, floats({2, 1}, {1, 2})};
  CHECK_THROWS(dispatch::call_inplace(named("add"), column, {}), Error, "the result has shape (2, 2)");
  Tensor integers = empty({2}, Dtype::Int64);
  Tensor down[] = {integers, a};
  CHECK_THROWS(dispatch::call_inplace(named("add"), down, {}), Error, "can't be cast to the tensor's type int64");
  Tensor spread[] = {expand("e", floats({1}, {1}), {2}), a};
  CHECK_THROWS(dispatch::call_inplace(named("add"), spread, {}), Error, "expanded view");
  float outside[2] = {1, 2};
  Tensor frozen = a;
  frozen.storage = StorageRef(new Storage(outside, sizeof outside, false, nullptr, [](void*) {}));
  Tensor into[] = {frozen, a};
  CHECK_THROWS(dispatch::call_inplace(named("add"), into, {}), Error, "read-only");
  CHECK_THROWS(dispatch::call_inplace(named("sum"), wide, {}), Error, "[sum] cannot be called in place");
  CHECK_THROWS(dispatch::call1(named("add"), {a}), Error, "[add] got 1 tensors, expected 2");
  CHECK_THROWS(dispatch::call1(named("add"), {a, Tensor{}}), Error, "[add] other is missing");
  CHECK_THROWS(dispatch::call1(named("amax"), {empty({0, 3}, Dtype::Float32)}, reduce({0}, false)), Error,
               "empty reduction");
  CHECK_THROWS(dispatch::call1(named("sum"), {a}, reduce({0, -1}, false)), Error, "appears twice");
  CHECK(values(a) == (std::vector<float>{1, 2}));
  CHECK_EQ(a.storage->version(), version);
}

namespace {

struct Listener : Recorder {
  std::vector<std::string> heard;
  void record(const Call& c) override { heard.push_back(c.op.name + to_string(c.out[0].shape)); }
};

// A second backend: counts calls and computes nothing but `add`.
int counted = 0;
void counting_add(const Call& c) {
  counted++;
  for (int64_t i = 0; i < c.out[0].numel(); i++)
    c.out[0].data<float>()[i] = c.in[0].data<float>()[i] + c.in[1].data<float>()[i];
}

}  // namespace

static void recorder_hears_every_call() {
  Listener listener;
  dispatch::set_recorder(&listener);
  Tensor a = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  dispatch::call1(named("sum"), {dispatch::call1(named("exp"), {a})}, reduce({1}, true));
  const Tensor doubles = empty({3}, Dtype::Float64);
  dispatch::call1(named("add"), {a, doubles});
  dispatch::set_recorder(nullptr);
  dispatch::call1(named("exp"), {a});
  CHECK(listener.heard == (std::vector<std::string>{"exp(2, 3)", "sum(2, 1)", "cast(2, 3)", "add(2, 3)"}));
}

static void second_backend() {
  static Backend counting{"test", Device::Test, {}};
  counting.kernels[named("add").id] = counting_add;
  dispatch::register_backend(&counting);
  Tensor a = empty({2}, Dtype::Float32, Device::Test);
  a.data<float>()[0] = 1, a.data<float>()[1] = 2;
  const Tensor y = dispatch::call1(named("add"), {a, a});
  CHECK_EQ(counted, 1);
  CHECK_EQ(y.device(), Device::Test);
  CHECK(values(y) == (std::vector<float>{2, 4}));
  CHECK_THROWS(dispatch::call1(named("exp"), {a}), Error, "[exp] has no test kernel");
  CHECK_THROWS(dispatch::call1(named("add"), {a, floats({2}, {1, 2})}), Error,
               "tensors are on test and cpu, expected one device");
  CHECK_THROWS(empty({1}, Dtype::Float32, Place{Device::Cuda, 1}), Error,
               "cannot allocate on cuda:1: nothing here can");
}

// Outputs that overwrite inputs: other inputs that share their memory are read as they were before.
static void overwritten_inputs() {
  const Op& norm = ops()[op_batch_norm];
  Attrs train;
  train.add(Attr::boolean(true));
  train.add(Attr::real(1.0));
  train.add(Attr::real(1e-5));
  auto run = [&](const Tensor& mean, const Tensor& var, const Tensor& weight) {
    Tensor out[kMaxOutputs];
    const Tensor in[] = {floats({2, 2}, {1, 2, 3, 6}), mean, var, weight, Tensor{}};
    dispatch::call(norm, in, train, out);
    return values(out[0]);
  };
  const Tensor var = floats({2}, {4, 9});
  const auto shared = run(floats({2}, {0, 0}), var, var);
  CHECK(shared == run(floats({2}, {0, 0}), floats({2}, {4, 9}), floats({2}, {4, 9})));
  CHECK(values(var) == (std::vector<float>{2, 8}));  // the batch's unbiased variance, momentum 1
  CHECK_THROWS(run(var, var, Tensor{}), Error, "running_mean and running_var share memory");
  CHECK(values(var) == (std::vector<float>{2, 8}));
}

static void dense_activations() {
  auto dense = [](const char* activation, Attr p) {
    Attrs a;
    a.add(Attr::word(intern(activation)));
    a.add(p);
    a.add(Attr{});
    return dispatch::call1(named("dense"), {floats({1, 1}, {-3}), floats({1, 1}, {2}), Tensor{}}, a).data<float>()[0];
  };
  CHECK_EQ(dense("identity", Attr{}), -6.f);
  CHECK_EQ(dense("leaky_relu", Attr{}), -6.f * 0.01f);  // the row's own slope
  CHECK_EQ(dense("leaky_relu", Attr::real(0.5)), -3.f);
  CHECK_EQ(dense("clamp", Attr{}), -6.f);
  CHECK_EQ(dense("clamp", Attr::real(-1)), -1.f);
  CHECK_THROWS(dense("isnan", Attr{}), Error, "[dense] activation is 'isnan'");
  CHECK_THROWS(dense("sum", Attr{}), Error, "[dense] activation is 'sum'");
}

int main(int argc, char** argv) {
  return tg::test::run(
      argc, argv,
      {CASE(rows), CASE(promotes), CASE(in_place_and_versions), CASE(refuses_before_writing),
       CASE(recorder_hears_every_call), CASE(second_backend), CASE(overwritten_inputs), CASE(dense_activations)});
}

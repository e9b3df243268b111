// erf, and the upper tail of the normal distribution.
#pragma once
#include "exp_log.h"

namespace TG_MATH_NS {

// exp(a^2) erfc(a) for 0 <= a <= 10.3 (float), 27.6 (double), as T(t) / (1 + 2a), t = (a - K) / (a + K). The
// argument is x = a * unit: the normal tail, of unit sqrt 2, need not round x / sqrt 2. Relative error of T: float
// (K = 2) 1.4e-8 = 0.23 * 2^-24, double (K = 4) 5.9e-17 = 0.53 * 2^-53.
template <class V>
TG_FN V erfcx_in_units(V x, double unit) {
  const V K = constant<V>((lane<V>::wide ? 4 : 2) * unit);
  V t = (x - K) / (x + K), T;
  if constexpr (lane<V>::wide)
    T = horner(t, 0x1.3ba5916e9fd7fp+0, -0x1.1df1ad154a29bp-3, 0x1.f7f5df66fd79cp-7, 0x1.16ecefcfa5fc7p-4,
               -0x1.9ddb23c3e8df5p-4, 0x1.7fee004df7913p-4, -0x1.0fb06dfe53751p-4, 0x1.3079edf9e31b2p-5,
               -0x1.096238817656cp-6, 0x1.49c67195eb549p-8, -0x1.8d4a9f141b748p-11, -0x1.a1de85243e82bp-13,
               0x1.3be0c4a689d8cp-13, -0x1.9969e03947f6cp-16, -0x1.78a632cf74d4cp-17, 0x1.7fb0709bb00ebp-18,
               0x1.43cf3e69bac37p-22, -0x1.c00aa44de949fp-21, 0x1.0d28a5ad78841p-24, 0x1.ed7fca421fc81p-24,
               -0x1.0c7098a3552d0p-27, -0x1.d10fb463e7d3cp-27, -0x1.e4fd370a5786dp-30);
  else
    T = horner(t, 0x1.46e80ep+0f, -0x1.7bf5f4p-4f, -0x1.540800p-3f, 0x1.4ffac8p-3f, -0x1.bc1350p-5f, -0x1.0784d0p-7f,
               0x1.1b5d28p-7f, 0x1.4cb1b6p-10f, -0x1.4b73b6p-10f, -0x1.7bd72ep-12f, 0x1.073720p-15f);
  return T / fma(x, constant<V>(2 / unit), constant<V>(1));
}

// factor * exp(-a b) with the product a b taken exactly: a b = s + e, exp(-s) (1 - e).
template <class V>
TG_FN V exp_minus_product(V a, V b, V factor) {
  V s = a * b;
  V e = fma(a, b, -s);
  return exp_times(-s, fma(-factor, e, factor));
}

// erf on |x| < 1: x + x P(x^2), relative error: float 1.4e-9 = 0.02 * 2^-24, double 1.4e-17 = 0.13 * 2^-53.
template <class V>
TG_FN V erf_near_zero(V x) {
  V z = x * x, P;
  if constexpr (lane<V>::wide)
    P = horner(z, 0x1.06eba8214db68p-3, -0x1.812746b03799ep-2, 0x1.ce2f21a03f966p-4, -0x1.b82ce311abf2cp-6,
               0x1.565bccef1dd91p-8, -0x1.c02daebec5c66p-11, 0x1.f9a2972f75380p-14, -0x1.f4c8326ea01f3p-17,
               0x1.b96b511e6b938p-20, -0x1.5b8b4e7f36e27p-23, 0x1.d3cf4774e283cp-27, -0x1.a1ff8cd42239fp-31);
  else
    P = horner(z, 0x1.06eba8p-3f, -0x1.81273ep-2f, 0x1.ce2ce6p-4f, -0x1.b7f71ap-6f, 0x1.53f224p-8f, -0x1.a3515ep-11f,
               0x1.4771fcp-14f);
  return fma(x, P, x);
}

// Beyond: 1 - exp(-x^2) erfcx(x), where the second term is below 0.16.
template <class V>
TG_FN V erf(V x) {
  V a = abs(x);
  V b = at_most(a, constant<V>(lane<V>::wide ? 6.5 : 4.5));  // 1 to the last bit from there on
  V far = constant<V>(1) - exp_minus_product(b, b, erfcx_in_units(b, 1));
  return copysign(select(lt(a, constant<V>(1)), erf_near_zero(a), far), x);
}

// Beyond this the density of the normal distribution and its tail round to zero.
template <class V>
TG_FN V normal_reach() {
  return constant<V>(lane<V>::wide ? 39 : 14.5);
}
// |x| times the normal distribution's tail beyond |x|: |x| erfc(|x| / sqrt 2) / 2, to full relative
// precision. b exp(b^2/2) erfc(b / sqrt 2) / 2 = w R(2w - 1), w = b / (b + K). Relative error of R: float (K =
// 2.75) 2.1e-8 = 0.35 * 2^-24, double (K = 4) 6.9e-17 = 0.62 * 2^-53.
template <class V>
TG_FN V normal_tail_times(V a) {  // a = |x|
  constexpr bool wide = lane<V>::wide;
  const V one = constant<V>(1);
  V b = at_most(a, normal_reach<V>());
  V w = b / (b + constant<V>(wide ? 4 : 2.75));
  V t = w + w - one, R;
  if constexpr (wide) {
    R = horner(t, 0x1.82b4bb8c94dcep-1, -0x1.373e3a893c28ap-1, 0x1.8c6dbf2cfc308p-2, -0x1.7dff2bff6848dp-3,
               0x1.eec4cc3e44362p-5, -0x1.ee27610439886p-8, -0x1.c81719c9576bbp-9, 0x1.ab825fb0bcb75p-10,
               0x1.17a4a5f82b3acp-13, -0x1.e4a421ba95a84p-13, -0x1.001105609c81dp-19, 0x1.26d063a782141p-15,
               0x1.7fd9820ecf5f2p-21, -0x1.8d4907f8817ffp-18, -0x1.4faacc1c6873ap-21, 0x1.124d9200c83dbp-20,
               0x1.1ba2717321e8dp-22, -0x1.5048099fa6a9bp-23, -0x1.4b9e90c93f509p-24, 0x1.14140a74ce46ap-26,
               0x1.f6520fb56d193p-27, -0x1.74f12909e3046p-32, -0x1.48ee6a426fb30p-30);
  } else {
    V z = t * t;  // by even and odd powers, two short chains
    V even = horner(z, 0x1.701ef0p-1f, 0x1.756b9cp-3f, -0x1.0d62d8p-6f, 0x1.45f326p-9f, -0x1.b0688cp-12f);
    V odd = horner(z, -0x1.e5bd1cp-2f, -0x1.0f5ed0p-6f, 0x1.a20da0p-9f, -0x1.04108ep-12f, -0x1.2bf918p-14f);
    R = fma(odd, t, even);
  }
  // -b^2/2 = n ln2 + r. ln2 is in two parts; n times the high one is exact, and its sum with b^2/2 rounds once.
  V h = b * constant<V>(-0.5);
  const V shifter = constant<V>(wide ? 0x1.8p52 : 0x1.8p23);
  V n = fma(b * h, constant<V>(0x1.71547652b82fep+0), shifter) - shifter;
  V r = fma(b, h, n * constant<V>(wide ? -0x1.62e42fefa38p-1 : -0x1.62e4p-1));
  r = fma(n, constant<V>(wide ? -0x1.ef35793c76730p-45 : -0x1.7f7d1cp-20), r);
  return scale(exp_of_reduced(r) * (R * w), n);
}

}  // namespace TG_MATH_NS

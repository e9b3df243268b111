// A vector of weights: float32, or bfloat16, the upper halves of float32. Included inside tg::TG_ISA_NS.
typedef uint16_t halves __attribute__((vector_size(TG_VECTOR_BYTES / 2)));
TG_FN vf load_weights(const float* p) { return load<vf>(p); }
TG_FN vf load_weights(const uint16_t* p) {
  halves h;
  __builtin_memcpy(&h, p, sizeof h);
  return vf(__builtin_convertvector(h, vui) << 16);
}

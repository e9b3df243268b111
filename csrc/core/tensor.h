// Storage: a refcounted block of bytes with a version. Tensor: a view of it (offset, shape, strides, dtype).
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "core/dtype.h"
#include "core/memory.h"
#include "core/place.h"
#include "core/shape.h"

namespace tg {

// A block derived from a storage's bytes (packed weights), valid while the version it was made from is current.
struct Derived {
  Derived(size_t bytes) : data(allocate(bytes)), bytes(bytes) {}
  ~Derived() { release(data, bytes); }
  Derived(const Derived&) = delete;
  Derived& operator=(const Derived&) = delete;
  void* data;
  size_t bytes;
};

// The storages that a thread makes while it records are numbered, so that a recorder knows them from those that were there
// before, and knows when they are gone: the number lives as long as its storage. 0: this thread does not record.
extern constinit thread_local uint64_t next_birth;
using Birth = std::shared_ptr<const uint64_t>;

class Storage {
 public:
  // Own memory, uninitialised.
  explicit Storage(size_t bytes, Place place = {}) : bytes_(bytes), place_(place) {
    if (place.device == Device::Cuda) [[unlikely]]
      data_ = allocate_on(place, bytes, stream_ = current_stream[place.index]);
    else data_ = allocate(bytes);
    if (next_birth) [[unlikely]]
      birth_ = std::make_shared<const uint64_t>(next_birth++);
  }
  // Foreign memory: `drop(owner)` runs when the last view goes.
  Storage(void* data, size_t bytes, bool writable, void* owner, void (*drop)(void*), Place place = {})
      : data_(data), bytes_(bytes), writable_(writable), place_(place), owner_(owner), drop_(drop) {}
  ~Storage() {
    if (drop_) drop_(owner_);
    else if (place_.device == Device::Cuda) release_on(place_, data_, bytes_, stream_);
    else release(data_, bytes_);
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  size_t bytes() const { return bytes_; }
  bool writable() const { return writable_; }
  bool foreign() const { return drop_ != nullptr; }
  bool foreign(void (*drop)(void*)) const { return drop_ == drop; }  // of that kind
  Place place() const { return place_; }
  Device device() const { return place_.device; }

  // Rises with every write through the door, so that saved tensors and derived blocks know they are stale.
  uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  void written() { version_.fetch_add(1, std::memory_order_relaxed); }
  // The bytes can change without the door (numpy shares them): nothing derived from them may be kept.
  bool shared_outside() const { return shared_outside_.load(std::memory_order_relaxed); }
  void share_outside() { shared_outside_.store(true, std::memory_order_relaxed); }

  // The block derived under `key` at the current version, or null. One slot: the last key wins.
  std::shared_ptr<const Derived> derived(uint64_t key) const;
  void set_derived(uint64_t key, uint64_t version, std::shared_ptr<const Derived> block);

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  int64_t references() const { return references_.load(std::memory_order_relaxed); }
  const Birth& birth() const { return birth_; }

 private:
  void* data_;
  size_t bytes_;
  bool writable_ = true;
  Place place_;
  StreamId stream_ = 0;  // on which it was taken
  void* owner_ = nullptr;
  void (*drop_)(void*) = nullptr;
  std::atomic<int64_t> references_{0};
  std::atomic<uint64_t> version_{0};
  std::atomic<bool> shared_outside_{false};
  mutable std::atomic_flag derived_lock_ = ATOMIC_FLAG_INIT;
  uint64_t derived_key_ = 0, derived_version_ = 0;
  std::shared_ptr<const Derived> derived_;
  Birth birth_;
};

// A counted reference. A borrowed one, and every copy of it, does not count: somebody else keeps the storage meanwhile. Plans
// hand borrowed ones to kernels, so that threads do not meet at the counters of the weights that they share. They also know
// what they are about to change (`fleeting`): nothing derived from it is worth keeping.
class StorageRef {
 public:
  StorageRef() = default;
  explicit StorageRef(Storage* s) : bits_(reinterpret_cast<uintptr_t>(s)) {
    if (s) s->retain();
  }
  static StorageRef borrowed(Storage* s, bool fleeting) {
    StorageRef r;
    r.bits_ = reinterpret_cast<uintptr_t>(s) | kBorrowed | (fleeting ? kFleeting : 0);
    return r;
  }
  StorageRef(const StorageRef& o) : bits_(o.bits_) {
    if (counts()) get()->retain();
  }
  StorageRef(StorageRef&& o) noexcept : bits_(std::exchange(o.bits_, 0)) {}
  StorageRef& operator=(StorageRef o) noexcept {
    std::swap(bits_, o.bits_);
    return *this;
  }
  ~StorageRef() {
    if (counts()) get()->drop();
  }
  Storage* get() const { return reinterpret_cast<Storage*>(bits_ & ~(kBorrowed | kFleeting)); }
  bool fleeting() const { return bits_ & kFleeting; }
  Storage* operator->() const { return get(); }
  explicit operator bool() const { return bits_ != 0; }
  bool operator==(const StorageRef& o) const { return get() == o.get(); }

 private:
  static constexpr uintptr_t kBorrowed = 1, kFleeting = 2;
  bool counts() const { return bits_ && !(bits_ & kBorrowed); }
  uintptr_t bits_ = 0;
};

// A value: copying it shares the storage. Strides and offset count elements; strides may be 0 or negative.
struct Tensor {
  StorageRef storage;
  int64_t offset = 0;
  Dims shape, strides;
  Dtype dtype = Dtype::Float32;
  bool number = false;  // made from a Python number: gives way in promotion

  bool defined() const { return static_cast<bool>(storage); }
  int rank() const { return shape.size(); }
  int64_t numel() const;
  Device device() const { return storage->device(); }
  Place place() const { return storage->place(); }
  bool contiguous() const;
  template <class T = std::byte>
  T* data() const {
    return reinterpret_cast<T*>(storage->data() + offset * size_of(dtype));
  }
};

// Fresh contiguous tensor, uninitialised. Refuses shapes whose bytes overflow.
Tensor empty(const Dims& shape, Dtype dtype, Place place = {});
// 0-d tensor with a value, cast to dtype.
Tensor scalar(double value, Dtype dtype);
Tensor scalar(int64_t value, Dtype dtype);

// Views. None of them touches data; errors name `op`.
Tensor as_strided(const Tensor& t, const Dims& shape, const Dims& strides, int64_t offset);
Tensor expand(const char* op, const Tensor& t, const Dims& shape);
Tensor permute(const char* op, const Tensor& t, const Dims& order);
Tensor transpose(const char* op, const Tensor& t, int64_t a, int64_t b);
Tensor squeeze(const char* op, const Tensor& t, const Dims* axes);  // null: every axis of length 1
Tensor unsqueeze(const char* op, const Tensor& t, int64_t axis);
Tensor slice(const char* op, const Tensor& t, int64_t axis, int64_t start, int64_t length, int64_t step);
Tensor select(const char* op, const Tensor& t, int64_t axis, int64_t index);  // drops the axis
Tensor narrow(const char* op, const Tensor& t, int64_t axis, int64_t start, int64_t length);
Tensor movedim(const char* op, const Tensor& t, const Dims& from, const Dims& to);
// The elements (i, i + offset) of two axes, as the last axis.
Tensor diagonal(const char* op, const Tensor& t, int64_t offset, int64_t axis1, int64_t axis2);
// Windows of `size` elements, `step` apart: the axis counts them, the last axis is within one.
Tensor unfold(const char* op, const Tensor& t, int64_t axis, int64_t size, int64_t step);
// as_strided with all its arguments checked against the storage.
Tensor strided_view(const char* op, const Tensor& t, const Dims& shape, const Dims& strides, int64_t offset);
// The view with the new shape (one length may be -1), or an undefined tensor when only a copy could have it.
Tensor try_view(const char* op, const Tensor& t, Dims shape);

// From the first byte that the view touches to the end of the last; null where it has no element.
struct Bytes {
  const std::byte *first = nullptr, *end = nullptr;
};
Bytes extent(const Tensor& t);

// Do the two touch a common byte (judged by their extents)? `same_view`: exactly the same elements in the same order.
bool overlaps(const Tensor& a, const Tensor& b);
bool same_view(const Tensor& a, const Tensor& b);
// Can two different indices address one element (an expanded view)?
bool self_overlaps(const Tensor& t);

}  // namespace tg

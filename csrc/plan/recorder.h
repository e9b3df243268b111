// Records the calls of a thread, as they run, into a program.
//
// A storage that the thread made while it recorded is a temporary, or, if it was filled without the door (from Python's
// numbers), a constant. Any other is an argument or a state: the recorder holds it, and keeps a copy from before its first
// write, so that a recording that fails can be undone.
//
// All is at one place, but for constants: what other calls make of Python's numbers alone is a constant, too.
#pragma once
#include <optional>
#include <unordered_map>
#include <vector>

#include "plan/program.h"

namespace tg::plan {

class Recording : public Recorder {
 public:
  // `first_birth`: the number of the first storage that the thread makes while it records.
  Recording(std::vector<Tensor> arguments, uint64_t first_birth);

  void before(const Call& call) override;
  void record(const Call& call) override;

  void expect(const Tensor& value, double low, double high, int id);
  // The next call of a row with attributes that are read anew is number `live`.
  void mark_live(int live) { next_live_ = live; }
  // Calls of rows with the flag kRandom and this seed and step are draw number `live`.
  void mark_draw(int live, int64_t seed, int64_t step) { draws_.push_back({live, seed, step}); }

  // The tensor's place in the program, made known to it if need be.
  View view_of(const Tensor& t, bool about_to_read = true);
  bool made_here(const Tensor& t) const;
  bool constant(const Tensor& t) const;  // made of Python's numbers alone, and not changed so far

  // The storages made and written while recording that are still alive, but for those of `known`: somebody kept them.
  std::vector<View> kept(const std::vector<Tensor>& known) const;
  // The program with these outputs. Writes to constants start from their bytes in each run.
  Program finish(const std::vector<Tensor>& outputs);
  // Gives all states the bytes that they had.
  void undo() noexcept;

 private:
  struct Draw {
    int live;
    int64_t seed, step;
  };
  bool elsewhere(const Call& call);
  int buffer_of(const Tensor& t, bool about_to_read);
  void about_to_write(int buffer);

  uint64_t first_birth_;
  std::optional<Place> place_;  // known from the arguments, or from the first call that works on what was there before
  Program program_;
  std::unordered_map<uint64_t, int> born_;            // birth -> buffer
  std::unordered_map<const Storage*, int> external_;  // storages that were there before
  struct Saved {
    StorageRef storage;
    StorageRef copy;  // null: all bytes were zero, as the moments of an optimizer before its first step
  };
  std::vector<Saved> saved_;              // states and arguments before their first write
  std::vector<Birth::weak_type> births_;  // per buffer; empty where it is external
  std::vector<bool> written_;             // per buffer
  std::vector<int64_t> input_base_;       // per buffer: the offset in bytes where the argument starts
  std::vector<StorageRef> input_storage_;
  std::vector<Draw> draws_;
  int next_live_ = -1;
};

}  // namespace tg::plan

// Runs a program: the same kernels over the same views as when it was recorded, without shape rules and allocations of the
// door. Not for two threads at once.
#pragma once
#include <memory>

#include "plan/lowering.h"
#include "plan/planner.h"

namespace tg::plan {

// Thrown when a value is not as expected; `id` is the expectation's.
struct Unexpected {
  int id;
  Tensor value;  // its one element
};

// The one element of a tensor.
double number(const Tensor& t);

// Bytes from one storage to another at its place, in order with the calls.
void copy_bytes(const StorageRef& to, int64_t to_first, const StorageRef& from, int64_t from_first, size_t bytes);

class Replay;

// The memory of temporaries. Programs of which no two run at a time share one, as large as the largest needs.
struct Arena {
  explicit Arena(Place place = {}) : place(place) {}
  Place place;
  StorageRef storage;
  uint64_t grown = 0;   // how often it was replaced
  StreamId stream = 0;  // of the run before
  void hold(size_t bytes) {
    if (storage && storage->bytes() >= bytes) return;
    const bool first = !storage;
    storage = StorageRef();  // the old one first: nothing in it is needed any more
    storage = StorageRef(new Storage(bytes, place));
    grown++;
    if (place.device != Device::Cuda) return;
    if (first) stream = current_stream[place.index];
    else used_on(place, storage->data(), stream);
  }
};

class Executor {
 public:
  // The arena is at the program's place.
  Executor(Program program, const Backend& backend, std::shared_ptr<Arena> arena = std::make_shared<Arena>());
  ~Executor();

  const Program& program() const { return program_; }
  const Schedule& schedule() const { return schedule_; }
  const std::shared_ptr<Arena>& arena() const { return arena_; }
  size_t arena_bytes() const { return static_cast<size_t>(layout_.total(schedule_.shards.size())); }

  // The memory of an input or an output, or another memory of a state: the buffer starts `base` bytes into the storage.
  void bind(int buffer, const StorageRef& storage, int64_t base);
  const StorageRef& bound(int buffer) const { return bound_[static_cast<size_t>(buffer)]; }
  // New memory for a buffer, to be bound to it; what was bound goes first, so that it may be the same.
  StorageRef room(int buffer) {
    bound_[static_cast<size_t>(buffer)] = StorageRef();
    return StorageRef(new Storage(program_.buffers[static_cast<size_t>(buffer)].bytes, program_.place));
  }
  // The attributes of an instruction whose numbers are read anew.
  const Attrs& attrs(size_t instruction) const { return attrs_[instruction]; }
  void set_attrs(size_t instruction, const Attrs& attrs);
  // The view as a tensor on what is bound now.
  Tensor tensor(const View& v) const;

  // A run that throws has changed no state.
  void run();
  Replay* replay() const { return replay_.get(); }  // on a device that keeps calls
  // A run on one thread, with the nanoseconds that each instruction took.
  void run_timed(std::vector<double>& nanoseconds);

 private:
  friend class Replay;
  // An operand that has the rows of a shard, which it may have to see by units or pieces.
  struct Moving {
    size_t operand;
    int64_t stride;  // of a row
    bool unit;       // there is memory for one unit only
  };
  struct Step {
    const Op* op = nullptr;
    Kernel kernel = nullptr;
    size_t in = 0, n_in = 0, out = 0, n_out = 0;  // places in operands_
    int instruction = 0;
    int64_t batch = 0;  // rows of the whole batch, of a part of which this is a call
    uint8_t precision = kExact;
    Attrs attrs{};
    int place = -1;     // the attribute that tells where a part starts in what is drawn for all
    int64_t drawn = 0;  // for each row
    int64_t first = 0;  // and where this part starts
    bool live = false;  // its attributes are read anew
    bool sums = false;  // then it has n_out outputs for each entry of the shard's stack
    std::vector<Moving> moving{};
    std::vector<std::vector<Step>> merges{};  // per entry: its sums join those of the entry below
    TogetherKernel together = nullptr;        // does this and the steps after it in one go:
    size_t steps = 1;                         // so many
  };
  struct Use {
    size_t operand;
    int64_t offset;  // elements from the start of the buffer
  };
  struct Run {
    std::vector<std::vector<Step>> by;  // one list, one per shard, or some that threads share out
    std::vector<Step> joins;
  };
  // Where the sums of a step go to.
  struct Stack {
    const int64_t* place;  // per sum, in a shard's part of the arena
    int entries;
  };

  void meet_stream();
  void run_calls();  // one by one
  void prepare(int threads);
  bool fits(Together how, std::span<const Instruction> instructions) const;
  void prepare_slot(size_t slot);
  void place_temporaries();
  void make_joins(size_t slot, size_t step, size_t out, std::vector<Step>& to);
  void add_operand(const View& v, Part part, int shard, std::vector<Moving>* moving = nullptr);
  void add_entry(const View& v, int shard, int64_t place, int entry);
  Step make_step(const Scheduled& s, int shard, const Stack& stack);
  Step make_join(const Scheduled& s, size_t out, Join join, int64_t place);
  // All steps of a shard (or of a slot that is none), unit by unit.
  template <class Each>
  void run_steps(size_t slot, size_t shard, Each each);
  void stand(Step& step, Rows rows, Rows unit, Rows shard);
  void point(int buffer, const StorageRef& storage, int64_t base);
  void save();
  void restore();
  void start();
  static void give_attrs(Step& step, const Attrs& attrs);
  void execute(const Step& step, int entry = 0);
  Call call_of(const Step& step, int entry);
  void written();  // raises the versions of what a run has written
  template <class Each>
  void guarded_run(Each each);

  Program program_;
  const Backend& backend_;
  int threads_ = 0;  // for which the rest was made
  Lowered lowered_;  // what is run
  Schedule schedule_;
  Layout layout_;
  std::vector<bool> unseen_;                  // per buffer: it has no memory (nets.h)
  std::vector<Run> runs_;                     // per slot
  std::vector<std::vector<Step*>> steps_of_;  // per live instruction: one, or one per shard
  std::vector<Tensor> operands_;              // borrowed: what is bound is held below
  std::vector<int64_t> origin_;               // of each: the offset of a shard's first row
  std::vector<std::vector<Use>> uses_;        // per buffer
  std::vector<StorageRef> bound_;             // per buffer
  std::vector<int64_t> base_;                 // per buffer: its first byte in what is bound
  std::vector<Attrs> attrs_;                  // per instruction
  std::vector<std::vector<int>> writes_;      // per instruction: the states, inputs and outputs that it writes
  std::vector<bool> changes_;                 // per buffer: a run writes it
  std::shared_ptr<Arena> arena_;
  uint64_t placed_ = 0;           // the arena in which the temporaries were placed
  std::vector<size_t> in_arena_;  // operands
  std::vector<int> starting_;     // buffers that start with bytes of their own
  std::vector<int> at_risk_;
  std::vector<StorageRef> copies_;  // of those at risk
  StreamId stream_ = 0;             // of the run before
  std::unique_ptr<Replay> replay_;  // on a device that keeps calls
};

}  // namespace tg::plan

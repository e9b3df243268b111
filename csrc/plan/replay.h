// Runs of a program on a device that keeps calls: the first is made call by call, the next is kept as a graph, and from then on a
// run is a launch of it.
//
// A graph works at the addresses that it was kept with. An input or an output that moves from run to run and is small gets memory
// of its own, from and to which it is copied; for what is large, runs are made call by call until everything stays where it was.
// Numbers that are read anew lie in memory of the device, written when they change. Where an instruction may refuse values, the
// graph is cut behind the last one that does: the host looks at what was noted before it launches the rest. If something was, the
// states are put back and the calls made one by one, so that the one which refuses says why.
//
// Steps over the batches of a data set have a graph that begins with the rows of the batch, and the host waits for none of them: the
// losses stay on the device until the last. If anything was refused, all is put back and the steps are made one by one.
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "plan/batches.h"

namespace tg::plan {

class Replay {
 public:
  Replay(Executor& executor, const Graphs& graphs);

  void run();
  // As plan::run_batches.
  size_t run_batches(const Batches& batches, int64_t first, const View& loss, std::span<const Draw> draws,
                     std::span<double> losses, std::chrono::nanoseconds time);
  void used_on(StreamId stream);  // the memory that is its own
  uint64_t launches() const { return launches_; }

  // Inputs and outputs that are copied from and to memory that is theirs alone.
  bool owns(int buffer) const { return static_cast<bool>(own(buffer)); }
  const StorageRef& own(int buffer) const { return own_[static_cast<size_t>(buffer)]; }

 private:
  // A graph of the device, dropped with this.
  struct Graph {
    const Graphs* graphs;
    int index;
    void* handle;
    Graph(const Graphs& graphs, int index) : graphs(&graphs), index(index), handle(graphs.end(index)) {}
    ~Graph() { graphs->drop(index, handle); }
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;
    void launch() const { graphs->launch(index, handle); }
  };

  using Addresses = std::vector<const std::byte*>;

  Addresses addresses() const;
  bool stays();  // does everything lie where it lay in the last run?
  bool ready();  // is there a graph for that?
  void move_in(const Addresses& now);
  template <class F>
  std::unique_ptr<Graph> kept(F f);
  void keep();
  void prepare();
  void keep_call(const Executor::Step& step);
  void keep_calls(size_t from, size_t to);
  void keep_epoch(const Batches& batches);
  Kept kept_at(size_t live);
  void renew();
  bool refused();
  void copy_in();
  void copy_out();
  using Copies = std::map<int, StorageRef>;  // of buffers, as they were
  void save(const std::vector<int>& buffers, Copies& copies);
  void restore(const Copies& copies);

  Executor& e_;
  const Graphs& graphs_;
  int index_;
  std::vector<StorageRef> own_;  // per buffer
  Addresses last_;
  std::unique_ptr<Graph> first_, rest_;  // up to the last instruction that may refuse, and behind it
  Addresses at_;                         // of these
  std::unique_ptr<Graph> step_;          // of an epoch
  Addresses step_at_;
  bool asks_ = false;    // something may be refused
  bool cannot_ = false;  // keep these calls
  std::vector<Kept::Block> blocks_;

  // Numbers that are read anew: those of live instructions, and at last the first row of a batch.
  std::vector<size_t> live_;      // instructions
  std::map<size_t, size_t> nth_;  // of an instruction
  Attrs row_;
  std::vector<std::byte> numbers_, fresh_;  // as kernels read them
  StorageRef on_device_;

  StorageRef watched_;  // what was refused, and the values of the expectations, 8 bytes each
  std::vector<uint64_t> seen_;
  std::vector<const Executor::Step*> expectations_;

  Copies risk_;                // what is written before it is known whether something was refused
  Copies before_;              // what the steps of an epoch change
  StorageRef order_, losses_;  // of an epoch
  uint64_t launches_ = 0;
};

}  // namespace tg::plan

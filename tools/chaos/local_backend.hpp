// Nodes as processes of this machine: those of a `shoal dev` folder (`local:FOLDER`), or a cluster
// of its own that `shoal dev` makes in a new folder and that is gone afterwards (`local`).
//
// As root, nodes of an own cluster may have small file systems of their own (tmpfs), which can be
// filled. Nothing here can cut the loopback between two processes (wired_backend.hpp).
#pragma once

#include "tools/chaos/backend.hpp"
#include "tools/chaos/dev_folder.hpp"

namespace shoal::chaos {

// What `program` of an upgrade says when nodes are to go on with a copy of the same program.
inline constexpr const char* kCopiedProgram = "copy";

class LocalBackend : public Backend {
 public:
  static Result<std::unique_ptr<Backend>> open(const BackendOptions& options);
  // `own`: `folder` is not there yet, and is removed with all that is in it.
  LocalBackend(BackendOptions options, std::filesystem::path folder, bool own);

  std::string name() const override;
  Plan birth() const override;
  std::vector<std::string> names() const override;
  Result<std::vector<BackendNode>> nodes() override;
  Steps start(const BackendNode& node) const override;
  std::optional<std::string> cannot(const Fault& fault) const override;
  Result<Plan> process(const Injection& injection) override;
  Result<Plan> disk(const Injection& injection) override;
  Result<Plan> load(const Injection& injection) override;
  Result<Plan> members(const Injection& injection) override;
  Result<Plan> played(const Injection& injection) override;
  Result<Plan> network(const Injection& injection) override;

 protected:
  // A node more, for a while.
  struct Joiner {
    std::string address;
    std::vector<std::string> words;  // How it starts, all but its data folder and what is common.
    Steps before = {};
    Steps after = {};
  };
  // The nodes of the folder, in order.
  virtual Result<std::vector<DevNode>> listed() const;
  virtual Step start_step(const BackendNode& node, const std::string& program) const;
  virtual Result<Joiner> joiner(const Injection& injection, const std::string& name);
  // Before a command that speaks to nodes.
  virtual std::vector<std::string> client_words() const { return {}; }

  // Into the plan: the folder and the disks in it.
  void plan_folder(Plan& plan) const;
  const BackendOptions& options() const { return options_; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  Result<std::vector<BackendNode>> targets_of(const Injection& injection);
  std::optional<std::string> cannot_disk() const;
  bool own_disks() const;
  std::string faults_folder() const;  // Of nodes started for tests; empty: they were not.

  BackendOptions options_;
  std::filesystem::path folder_;
  bool own_ = false;
  std::vector<BackendNode> nodes_;  // As nodes() saw them last.
};

// Programs beside the nodes, in their control groups, that take cpu or memory.
Result<Plan> plan_load(const std::vector<BackendNode>& targets, const Fault& fault, bool imaginary);

// The supervisors of a node: its children, and those that outlived it and know its data folder.
std::vector<ProcessId> supervisors_of(const BackendNode& node);

}  // namespace shoal::chaos

// The cluster under measurement: one of its own, made by `shoal dev` in a folder of its own and
// gone with this object, or one that runs already and is left alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "shoal/client.hpp"
#include "shoal/result.hpp"

namespace shoal::bench {

class Cluster {
 public:
  struct Node {
    std::string name;
    std::string address;
  };

  // `shoal` is the program to run; data lie in a new folder below `parent`.
  static Result<Cluster> start(const std::string& shoal, const std::string& parent,
                               std::uint32_t nodes);
  // A running cluster, its addresses parted by commas.
  static Cluster at(const std::string& addresses);

  Cluster(Cluster&& other) noexcept;
  Cluster& operator=(Cluster&&) = delete;
  ~Cluster();

  bool own() const { return !folder_.empty(); }
  const std::vector<Node>& nodes() const { return nodes_; }

  // What a client needs whose gateway is the node `first` (modulo their number).
  ClientOptions client_options(std::size_t first = 0) const;

  // REQUIRES: own().
  Result<void> kill(const std::string& name);
  Result<void> restart(const std::string& name);

 private:
  Cluster() = default;
  Result<std::string> dev(std::vector<std::string> words) const;

  std::string shoal_;
  std::filesystem::path folder_;  // Empty: somebody else's cluster.
  std::vector<Node> nodes_;
};

}  // namespace shoal::bench

"""A carrier to practise on: activates, suspends, returns and reassigns numbers, and misbehaves on demand.

`python -m node.carrier.simulator --listen 127.0.0.1:8080 --data FOLDER/numbers.json` runs it; it is a process of
its own and shares nothing with a node but its HTTP API.
"""

from node.carrier.simulator.app import Simulator, make_app
from node.carrier.simulator.process import SimulatorConfig, make_simulator, run_simulator, serve, serving

__all__ = ["Simulator", "SimulatorConfig", "make_app", "make_simulator", "run_simulator", "serve", "serving"]

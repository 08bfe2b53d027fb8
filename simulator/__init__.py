"""A synthetic bank of any size with known truth: one causal model from income, household and taste to every raw table."""

from simulator.bank import SimulatedBank, digest, simulate
from simulator.config import BankInTheWay, InvalidSimulation, SimulationConfig

__all__ = ["BankInTheWay", "InvalidSimulation", "SimulatedBank", "SimulationConfig", "digest", "simulate"]

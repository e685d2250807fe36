"""The departments themselves: members, versions of the rules, evidence, what their vaults hold."""

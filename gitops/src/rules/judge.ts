import { argocdRules } from './argocd.ts'
import { clientAddressRules } from './client-address.ts'
import { configurationRules } from './configuration.ts'
import { connectionRules } from './connections.ts'
import type { Document } from './documents.ts'
import { gatewayRules } from './gateway.ts'
import { namespaceRules } from './namespace.ts'
import { networkRules } from './network.ts'
import { orderRules } from './order.ts'
import { requirementRules } from './requirements.ts'
import { rollbackRules } from './rollback.ts'
import type { Facts, Rule } from './rule.ts'
import { securityRules } from './security.ts'
import { workloadRules } from './workloads.ts'

/** Every rule of our own, by the name that a finding shows. */
export const rules: Record<string, Rule> = {
  ...securityRules,
  ...workloadRules,
  ...networkRules,
  ...gatewayRules,
  ...clientAddressRules,
  ...namespaceRules,
  ...orderRules,
  ...configurationRules,
  ...connectionRules,
  ...argocdRules,
  ...requirementRules,
  ...rollbackRules,
}

/** What a rule holds against a set; `path` is the set's, below gitops/. */
export type Finding = { path: string; rule: string; where: string; says: string }

/** Everything that the rules hold against one rendered set, in their order. */
export function judge(path: string, set: Document[], facts: Facts): Finding[] {
  return Object.entries(rules).flatMap(([rule, look]) =>
    look(set, facts, path).map(([where, says]) => ({ path, rule, where, says })),
  )
}

/** One line for a terminal. */
export const describe = ({ path, rule, where, says }: Finding) => `${path}: ${where} ${says} (${rule})`

import { brokenAddOn } from './add-on.ts'
import { admission } from './admission.ts'
import { badReleaseSteps, proberControl, releaseDuringSync } from './bad-releases.ts'
import { canaries } from './canary.ts'
import { drift, prune } from './drift.ts'
import { dryRun } from './dry-run.ts'
import { firstSync, requests, smokeTest, waves } from './first-sync.ts'
import { missingSecret } from './missing-secret.ts'
import { networkPolicies } from './network.ts'
import { preview } from './preview.ts'
import { refusals } from './refusals.ts'
import { commitToLive, promotion, race } from './releases.ts'
import { drain, scaling } from './scaling.ts'
import { rotation } from './secrets.ts'
import type { Step } from './step.ts'
import { surge } from './surge.ts'
import { nextKubernetes, teardown, upgrade } from './upgrade.ts'
import { syncWindow } from './windows.ts'

const [firstBadRelease, ...otherBadReleases] = badReleaseSteps

/** What `.ci/run` has the time for: it finds what stops a deployment. */
export const shortSteps: Step[] = [
  firstSync,
  waves,
  requests,
  smokeTest,
  dryRun,
  admission,
  networkPolicies,
  refusals,
  drift,
  prune,
  commitToLive,
  ...(firstBadRelease ? [firstBadRelease] : []),
]

/** Every step, in the order in which they run. The workflow `e2e.yml` runs them. */
export const steps: Step[] = [
  ...shortSteps,
  syncWindow,
  ...otherBadReleases,
  missingSecret,
  releaseDuringSync,
  brokenAddOn,
  proberControl,
  drain,
  scaling,
  surge,
  rotation,
  canaries,
  promotion,
  race,
  preview,
  upgrade,
  nextKubernetes,
  teardown,
]

/** Without these, no later step can pass. */
export const requiredSteps = new Set([firstSync.name])

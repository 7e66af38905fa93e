import { concurrencies, imagesOf, pinOf, secretsOf, writes } from './workflow-facts.ts'
import type { Job, Step, Workflow } from './workflow-policy.ts'

/** Where, and what is wrong there: a sentence that says what to do. */
type Fault = [where: string, says: string]
type Rule = (workflow: Workflow, all: Workflow[]) => Fault[]

/** The one secret that lives longer than a run, and the environments that hold it. */
const appKey = 'RELEASE_APP_PRIVATE_KEY'
/** Where a script may talk to a cluster: one that it made itself. */
const ownCluster = new Set(['e2e.yml'])

const eachJob =
  (look: (job: Job, workflow: Workflow) => string | false | undefined): Rule =>
  (workflow) =>
    workflow.jobs.flatMap((job): Fault[] => {
      const says = look(job, workflow)
      return says ? [[job.name, says]] : []
    })

const eachStep =
  (look: (step: Step, job: Job, workflow: Workflow) => string | false | undefined): Rule =>
  (workflow) =>
    workflow.jobs.flatMap((job) =>
      job.steps.flatMap((step, index): Fault[] => {
        const says = look(step, job, workflow)
        return says ? [[`${job.name}, step ${index + 1}`, says]] : []
      }),
    )

const whole =
  (look: (workflow: Workflow) => string | false | undefined): Rule =>
  (workflow) => {
    const says = look(workflow)
    return says ? [['whole file', says]] : []
  }

const script = (pattern: RegExp, says: string): Rule => eachStep(({ run }) => pattern.test(run ?? '') && says)

export const rules: Record<string, Rule> = {
  'no-default-permissions': whole(({ permissions }) => {
    const none = typeof permissions === 'object' && permissions !== null && Object.keys(permissions).length === 0
    return !none && 'write `permissions: {}` at the top'
  }),
  'job-states-permissions': eachJob(
    ({ permissions }) => typeof permissions !== 'object' && 'list the permissions of the job one by one',
  ),
  'repository-is-read-only': eachJob(
    (job) =>
      ['contents', 'actions', 'checks', 'statuses', 'deployments'].some((scope) => writes(job, scope)) &&
      'let the App write, for as long as it takes: no job token may change the repository or what is said about it',
  ),
  'write-only-for-own-branches': eachJob(
    (job, { on }) =>
      'pull_request' in on &&
      writes(job) &&
      !/github\.event\.pull_request\.head\.repo\.full_name == github\.repository/.test(String(job.if)) &&
      'guard a job that may write by `if: github.event.pull_request.head.repo.full_name == github.repository`',
  ),
  'pinned-by-commit': (workflow) =>
    workflow.jobs.flatMap((job) =>
      [job.uses, ...job.steps.map(({ uses }) => uses)].flatMap((uses): Fault[] => {
        if (uses === undefined || uses.startsWith('./') || uses.startsWith('docker://')) return []
        return pinOf(uses) ? [] : [[job.name, `pin ${uses} by the 40 digits of its commit`]]
      }),
    ),
  'pin-tells-version': ({ text }) =>
    text.split('\n').flatMap((line, index): Fault[] => {
      const pin = /uses:\s+\S+@[0-9a-f]{40}(.*)$/.exec(line)
      return pin && !/^ # v\d+\.\d+\.\d+$/.test(pin[1] ?? '')
        ? [[`line ${index + 1}`, 'tell the version that the commit is, as `# v1.2.3`']]
        : []
    }),
  'one-pin-for-an-action': (workflow, all) => {
    const pins = new Map<string, string>()
    for (const { jobs } of all) {
      for (const pin of jobs.flatMap(({ steps }) => steps).map(({ uses = '' }) => pinOf(uses))) {
        if (pin && !pins.has(pin.repository)) pins.set(pin.repository, pin.commit)
      }
    }
    return eachStep(({ uses = '' }) => {
      const pin = pinOf(uses)
      return pin && pins.get(pin.repository) !== pin.commit && `use one commit of ${pin.repository} everywhere`
    })(workflow, all)
  },
  'image-by-digest': eachJob(
    (job) =>
      !imagesOf(job).every((image) => /@sha256:[0-9a-f]{64}$/.test(image)) &&
      'name the image of a container by its digest',
  ),
  'no-expression-in-script': eachStep(({ run, with: inputs }) => {
    const code = [run, inputs?.script].map((it) => String(it ?? '')).join('\n')
    return code.includes('${{') && 'hand the value over in env: an expression in a script is code of whoever wrote it'
  }),
  'no-privileged-event': whole(({ on }) => {
    const events = ['pull_request_target', 'workflow_run', 'issue_comment', 'issues', 'discussion', 'fork', 'watch']
    const found = events.find((event) => event in on)
    return found !== undefined && `leave ${found} out: a stranger could start it with the rights of the repository`
  }),
  'no-lasting-credentials': eachStep(({ uses = '', with: inputs }) => {
    const checkout = uses.startsWith('actions/checkout@')
    return checkout && inputs?.['persist-credentials'] !== false && 'check out with `persist-credentials: false`'
  }),
  'no-long-lived-secret': ({ text }) =>
    secretsOf(text).flatMap(([line, name]): Fault[] =>
      name === appKey ? [] : [[`line ${line}`, `replace the secret ${name} by OIDC or by the token of the run`]],
    ),
  'secret-behind-environment': eachJob(
    (job) =>
      JSON.stringify(job).includes(`secrets.${appKey}`) &&
      job.environment === undefined &&
      'name the environment that holds the key of the App',
  ),
  'app-token-is-narrow': eachStep(
    ({ uses = '', with: inputs = {} }) =>
      uses.startsWith('actions/create-github-app-token@') &&
      (!Object.keys(inputs).some((name) => name.startsWith('permission-')) || 'owner' in inputs) &&
      'ask for the permissions that the step needs (permission-...), in this repository only',
  ),
  'secrets-by-name': eachJob(({ secrets }) => secrets === 'inherit' && 'hand over secrets by name'),
  'ends-in-time': eachJob(
    (job) => job.uses === undefined && !(Number(job['timeout-minutes']) <= 90) && 'set timeout-minutes, at most 90',
  ),
  'one-at-a-time': whole((workflow) => {
    const said = concurrencies(workflow).every((it) => it !== undefined)
    return !said && 'say in `concurrency`, of the workflow or of every job, what may run side by side'
  }),
  'release-is-not-cancelled': whole(
    (workflow) =>
      /release\/cli\.ts (bump|promote|rollback)|gitops:(bump|promote|rollback)|propose\.sh/.test(workflow.text) &&
      !concurrencies(workflow).every((it) => it?.['cancel-in-progress'] === false) &&
      'set `cancel-in-progress: false`: what writes a release must end',
  ),
  'fixed-runner': eachJob(
    (job) =>
      job.uses === undefined &&
      !/^(ubuntu-24\.04(-arm)?|\$\{\{ matrix\.runner \}\})$/.test(String(job['runs-on'])) &&
      'run on ubuntu-24.04 or ubuntu-24.04-arm: another image is another test, and a machine of our own remembers',
  ),
  'script-stops-at-fault': whole(
    ({ defaults, jobs }) =>
      jobs.some(({ steps }) => steps.some(({ run }) => run !== undefined)) &&
      defaults?.run?.shell !== 'bash' &&
      'set `defaults: {run: {shell: bash}}`: without it the first command of a pipe may fail unseen',
  ),
  'fault-is-fault': eachJob(
    (job) => [job, ...job.steps].some((it) => it['continue-on-error'] !== undefined) && 'leave continue-on-error out',
  ),
  'no-unseen-fault': script(/\|\| *(true|:)\s*$/m, 'do not hide a failure behind `|| true`'),
  'git-deploys': (workflow, all) =>
    ownCluster.has(workflow.file)
      ? []
      : script(
          /\b(kubectl|helm|argocd|kustomize build[^\n]*\|\s*kubectl)\s+([^\n]*\s)?(apply|create|patch|delete|install|upgrade|sync|rollout|set|scale)\b/,
          'write to Git instead: Argo CD alone changes a cluster',
        )(workflow, all),
  'no-download-into-shell': script(
    /\b(curl|wget)\b[^\n|]*\|\s*(sudo\s+)?(env\s+)?(ba|z|da)?sh\b/,
    'install a pinned version with a checksum instead of running what a server answers',
  ),
  'clean-install': script(/\bnpm (install|i|update)\b(?!-)/, 'install what the lock file says: `npm ci`'),
  'no-moving-version': script(/@latest\b|:latest\b/, 'name an exact version'),
}

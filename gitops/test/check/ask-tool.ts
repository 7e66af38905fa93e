import { toolPath } from '../../src/tools.ts'

await toolPath('kubeconform').catch((error: Error) => console.log(error.message))

/**
 * Makes both base images of infra/images/Dockerfile out of Debian packages and this machine's Node.js, for a machine that
 * reaches no registry. Needs root, mmdebstrap and a Debian mirror. Prints the options for `orders-api:image`.
 */
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { capture, main, run } from './command.ts'

const [build, runtime] = ['orders-stand-in/build', 'orders-stand-in/runtime']

/** Like distroless: files only, so that no shell runs even while it is made. */
function makeRuntime(work: string): void {
  const packages = 'base-files,netbase,tzdata,libc6,libgcc-s1,libstdc++6,ca-certificates'
  run('mmdebstrap', ['--quiet', '--variant=extract', `--include=${packages}`, 'bookworm', join(work, 'runtime.tar')])
  run('docker', ['import', join(work, 'runtime.tar'), runtime])
}

function makeBuild(work: string): void {
  const files = join(work, 'files/usr/local')
  mkdirSync(join(files, 'bin'), { recursive: true })
  cpSync(process.execPath, join(files, 'bin/node'))
  const npm = dirname(dirname(realpathSync(capture('which', ['npm']))))
  cpSync(npm, join(files, 'lib/node_modules/npm'), { recursive: true })
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(files, 'bin/npm'))
  run('mmdebstrap', ['--quiet', '--variant=essential', '--include=libstdc++6', 'bookworm', join(work, 'build.tar')])
  run('docker', ['import', join(work, 'build.tar'), `${build}:debian`])
  writeFileSync(join(work, 'Dockerfile'), `FROM ${build}:debian\nCOPY files /\n`)
  run('docker', ['build', '--quiet', '--tag', build, work])
}

await main(() => {
  const work = mkdtempSync(join(tmpdir(), 'orders-bases-'))
  try {
    makeRuntime(work)
    makeBuild(work)
  } finally {
    rmSync(work, { recursive: true })
  }
  console.log(`--build-arg BUILD_BASE=${build} --build-arg RUNTIME_BASE=${runtime}`)
})

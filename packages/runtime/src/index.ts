export { Choice, readSettings, Secret, SettingsError, settingsHelp } from './settings.ts'
export { onShutdown } from './shutdown.ts'

// The keys of those who may ask models. The first one is made at random and never shown; later deployments leave it.
param location string
param tags object
param vaultName string
param makeScoringKey bool

@secure()
param scoringKey string

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: vaultName
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    enableRbacAuthorization: true
    sku: {
      family: 'A'
      name: 'standard'
    }
  }
}

resource keys 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (makeScoringKey) {
  parent: vault
  name: 'scoring-keys'
  properties: {
    contentType: 'Keys of those who may ask models, with blanks between'
    value: scoringKey
  }
}

output scoringKeysUri string = '${vault.properties.vaultUri}secrets/scoring-keys'
